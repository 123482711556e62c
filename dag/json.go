package dag

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ParseJSON reads and validates a definition. Unknown fields are refused. The
// error is [Problems].
func ParseJSON(text []byte) (*Definition, error) {
	if len(text) > MaxSource {
		return nil, Problems{{Text: fmt.Sprintf("the definition has %d bytes, more than %d", len(text), MaxSource)}}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var def Definition
	if err := dec.Decode(&def); err != nil {
		return nil, jsonProblem(text, dec, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, jsonProblem(text, dec, errors.New("text after the definition"))
	}
	if err := def.Validate(); err != nil {
		return nil, err
	}
	return &def, nil
}

// jsonProblem adds line and column to an error of encoding/json.
func jsonProblem(text []byte, dec *json.Decoder, err error) error {
	p := Problem{Text: err.Error()}
	offset := dec.InputOffset()
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &wrong):
		offset, p.Field = wrong.Offset, wrong.Field
		p.Text = fmt.Sprintf("a %s is expected, not a %s", wrong.Type, wrong.Value)
	}
	before := text[:min(max(offset, 0), int64(len(text)))]
	p.Line = 1 + bytes.Count(before, []byte("\n"))
	p.Column = max(1, len(before)-1-bytes.LastIndexByte(before, '\n'))
	return Problems{p}
}
