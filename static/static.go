// Package static holds the style sheet, scripts and images of the pages. They
// are served as they are: there is no build step.
package static

import "embed"

// FS holds the files that are served below /static/.
//
//go:embed *.css *.js *.svg
var FS embed.FS
