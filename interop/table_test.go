package interop

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

const (
	tablePath   = "../docs/compatibility.md"
	howToUpdate = "run UMBEL_TEST_FULL=1 go run ./internal/testenv/run -- go test ./interop -run TestConformance -timeout 90m -update"
)

// Marks of a cell.
const (
	markWorks = "✓"
	markFails = "✗"
	markNone  = "–"
)

// table is the committed document: what each cell says.
type table map[cell]entry

// entry is a cell's mark and the text of its note.
type entry struct{ mark, note string }

// title is the head of a column.
func (c column) title() string {
	short := map[string]string{onRedis: "R", onAMQPAndRedis: "A", onAMQPAndRPC: "rpc"}
	return c.version + " " + short[c.stage]
}

// readTable reads the marks from the document.
func readTable(path string) (table, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the compatibility table: %w; %s", err, howToUpdate)
	}
	read, texts := table{}, noteTexts(string(text))
	var group string
	var heads []column
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "### "); ok {
			group, heads = name, nil
			continue
		}
		cells := splitRow(line)
		switch {
		case cells == nil || group == "":
		case heads == nil:
			heads = columnsOf(cells[1:])
		case !strings.HasPrefix(cells[0], "---") && len(cells) == len(heads)+1:
			for i, c := range heads {
				mark, note, _ := strings.Cut(cells[i+1], " ")
				read[cell{group + " / " + strings.ReplaceAll(cells[0], `\|`, "|"), c}] = entry{mark, texts[note]}
			}
		}
	}
	return read, nil
}

var noteLine = regexp.MustCompile(`(?m)^- (\[\d+\]) (.*)$`)

// noteTexts are the notes by how cells refer to them.
func noteTexts(text string) map[string]string {
	found := map[string]string{}
	for _, m := range noteLine.FindAllStringSubmatch(text, -1) {
		found[m[1]] = m[2]
	}
	return found
}

var cellBorder = regexp.MustCompile(`(^|[^\\])\|`)

// splitRow returns the cells of a table line, nil for another line.
func splitRow(line string) []string {
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	line = cellBorder.ReplaceAllString(strings.TrimSuffix(line, "|"), "$1\x00")
	cells := strings.Split(line, "\x00")[1:]
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

func columnsOf(titles []string) []column {
	var found []column
	for _, title := range titles {
		for _, c := range columns() {
			if c.title() == title {
				found = append(found, c)
			}
		}
	}
	return found
}

// notes numbers footnotes by their text.
type notes struct {
	numbers map[string]int
	lines   []string
}

// refer is the text of a cell; its note gets a number at its first use.
func (n *notes) refer(e entry) string {
	if e.note == "" {
		return e.mark
	}
	if n.numbers[e.note] == 0 {
		n.numbers[e.note] = len(n.lines) + 1
		n.lines = append(n.lines, fmt.Sprintf("[%d] %s", len(n.lines)+1, e.note))
	}
	return fmt.Sprintf("%s [%d]", e.mark, n.numbers[e.note])
}

// section is one group of the document with its rows of cells.
type section struct {
	Name string
	Rows [][]string
}

// writeTable generates the document from a run; what did not run stays as the
// committed table has it.
func writeTable(path string, seen map[cell]error, committed table) error {
	layout, err := template.ParseFiles("testdata/compatibility.md.tmpl")
	if err != nil {
		return fmt.Errorf("read the template of the table: %w", err)
	}
	footnotes := &notes{numbers: map[string]int{}}
	var sections []*section
	var works, fails int
	var open []string
	for _, b := range behaviours() {
		at := slices.IndexFunc(sections, func(s *section) bool { return s.Name == b.group })
		if at < 0 {
			at = len(sections)
			sections = append(sections, &section{Name: b.group})
		}
		var missing []string
		row := []string{strings.ReplaceAll(b.name, "|", `\|`)}
		for _, c := range columns() {
			e, err := judgement(b, c, seen, committed)
			if err != nil {
				return err
			}
			switch e.mark {
			case markWorks:
				works++
			case markFails:
				fails++
				missing = append(missing, e.note)
			}
			row = append(row, footnotes.refer(e))
		}
		if slices.Sort(missing); missing != nil {
			open = append(open, fmt.Sprintf("%s / %s, %d columns: %s", b.group, b.name, len(missing), strings.Join(slices.Compact(missing), "; ")))
		}
		sections[at].Rows = append(sections[at].Rows, row)
	}
	var out bytes.Buffer
	if err := layout.Execute(&out, map[string]any{
		"Columns": columns(), "Sections": sections, "Notes": footnotes.lines, "Works": works, "Fails": fails,
		"Open": open, "Peers": peers(), "Command": strings.TrimPrefix(howToUpdate, "run "),
	}); err != nil {
		return fmt.Errorf("fill the template of the table: %w", err)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// judgement is what the document says in a cell.
func judgement(b behaviour, c column, seen map[cell]error, committed table) (entry, error) {
	if why := b.applies(c); why != "" {
		return entry{markNone, "not applicable: " + why}, nil
	}
	at := cell{b.key(), c}
	failure, ran := seen[at]
	switch {
	case !ran && committed[at].mark == "":
		return entry{}, fmt.Errorf("%s did not run with Celery %s on %s, nor is it in the table", b.key(), c.version, c.stage)
	case !ran:
		return committed[at], nil
	case failure == nil:
		return entry{mark: markWorks}, nil
	}
	return entry{markFails, causeOf(b, c, failure)}, nil
}

// Title is the head of the column in the document.
func (c column) Title() string { return c.title() }

var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

// causeOf is what is known of a failure, else what it said.
func causeOf(b behaviour, c column, failure error) string {
	for _, k := range knownFailures {
		if k.group == b.group && strings.HasPrefix(b.name, k.row) && strings.Contains(c.title(), k.column) {
			return k.cause
		}
	}
	text := strings.ReplaceAll(anyID.ReplaceAllString(failure.Error(), "<id>"), "\n", " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}
