// Package templates holds the pages of Umbel as html/template files.
//
// A page is one file in this folder that defines "title" and "content"; the
// renderer (internal/web.Renderer) finds it by its file name and puts layout.html
// and partials/ around it, so a new page is a new file and a call
//
//	renderer.Render(w, r, http.StatusOK, "workflows.html", data)
//
// In "content", . is the page and .Data what the handler gave; .Operator tells
// whether to show controls. Data that has a method Notices() []web.Notice gets
// banners. Functions, usable anywhere:
//
//	{{t "Workers"}} {{t "%d of %d" .N .M}}   text of the reader's language
//	{{url "/task/" (segment .ID)}}           link below the URL prefix
//	{{static "app.css"}}                     address of a static file
//	{{duration .Runtime}} {{number .Count}}  "1.50 s", "12,003"; nil is a dash
//	{{short .ID}} {{truncate 40 .Args}}      first part of an id, a cut text
//
// Partials (partials/*.html), each called with one value:
//
//	{{template "state" "SUCCESS"}}     badge of a task, worker or run state (string)
//	{{template "icon" "check"}}        one icon of icons.html
//	{{template "when" .Time}}          moment (time.Time), shown in local time
//	{{template "ago" .Time}}           moment, shown as "3 s ago"
//	{{template "elapsed" .Time}}       time since a moment, counting
//	{{template "columns" .Columns}}    <th> cells of []web.Column
//	{{template "pager" .Pager}}        web.Pager below a table
//	{{template "copy" "element-id"}}   button that copies an element's text
//
// A table sits in <div class="table"> and has a caption, scope on its heads and
// class "num" on figures. An element with an id and data-live="tasks workers" is
// patched in place when one of these topics changes; its rows need data-key.
// Texts are English; their translations stand in lang/zh-CN.json, or in
// lang/zh-CN.<part>.json for a part that keeps its own.
package templates

import "embed"

// FS holds the templates and the catalogues of translations.
//
//go:embed *.html partials/*.html lang/*.json
var FS embed.FS
