package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	maxLines     = 600
	maxTestLines = 800
)

// emptyNames say nothing about what a file or package does.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc"}

func TestFiles(t *testing.T) {
	broken, err := judgeFiles(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range broken {
		t.Error(line)
	}
}

// judgeFiles returns one line for each Go file that is too long or whose name or
// folder says nothing.
func judgeFiles(tree fs.FS) (broken []string, err error) {
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("walk: %w", err)
		}
		name := d.Name()
		if d.IsDir() {
			if path != "." && strings.HasPrefix(name, ".") || name == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		limit := maxLines
		stem, test := strings.CutSuffix(strings.TrimSuffix(name, ".go"), "_test")
		if test {
			limit = maxTestLines
		}
		text, err := fs.ReadFile(tree, path)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > limit {
			broken = append(broken, fmt.Sprintf("%s has %d lines, %d are allowed", path, lines, limit))
		}
		for _, said := range []string{stem, filepath.Base(filepath.Dir(path))} {
			if slices.Contains(emptyNames, said) {
				broken = append(broken, fmt.Sprintf("%s: the name %q does not tell what it is for", path, said))
			}
		}
		return nil
	})
	return broken, err
}

func TestJudgeFilesFinds(t *testing.T) {
	long := func(lines int) *fstest.MapFile {
		return &fstest.MapFile{Data: bytes.Repeat([]byte("\n"), lines)}
	}
	got, err := judgeFiles(fstest.MapFS{
		"a/fits.go": long(600), "a/long.go": long(601), "a/fits_test.go": long(800), "a/long_test.go": long(801),
		"a/types.go": long(1), "b/common/x.go": long(1), "a/testdata/util.go": long(900), "a/long.txt": long(900),
	})
	want := []string{
		"a/long.go has 601 lines, 600 are allowed",
		"a/long_test.go has 801 lines, 800 are allowed",
		`a/types.go: the name "types" does not tell what it is for`,
		`b/common/x.go: the name "common" does not tell what it is for`,
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}
