package xingqiao

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/umbel-go/umbel/protocol"
)

// readParams merges the query and a JSON body. A query key that comes twice is a
// list; a body that is empty is none.
func readParams(w http.ResponseWriter, r *http.Request) (protocol.Object, error) {
	var params protocol.Object
	query := r.URL.Query()
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if v := query[k]; len(v) == 1 {
			params = params.Set(k, v[0])
		} else {
			params = params.Set(k, v)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("the body cannot be read: %w", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return params, nil
	}
	o, err := protocol.DecodeObject(body)
	if err != nil {
		return nil, fmt.Errorf("the body is no JSON object: %w", err)
	}
	for _, f := range o {
		params = params.Set(f.Name, f.Value)
	}
	return params, nil
}

// text reads a parameter as text; numbers are taken as they are written.
func (c *call) text(name string) (string, error) {
	v, _ := c.params.Get(name)
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", fmt.Errorf("parameter %s must be a string", name)
}

func (c *call) required(name string) (string, error) {
	s, err := c.text(name)
	if err == nil && s == "" {
		err = fmt.Errorf("parameter %s is required", name)
	}
	return s, err
}

// number reads a whole number, written as number or string; given is false when
// the parameter is absent, null or empty.
func (c *call) number(name string) (n int64, given bool, err error) {
	s, err := c.text(name)
	if s = strings.TrimSpace(s); err != nil || s == "" {
		return 0, false, err
	}
	n, err = strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("parameter %s must be a whole number, not %q", name, s)
	}
	return n, true, nil
}

var errExtra = errors.New("job_extra must be an object, or the JSON text of one")

// extra reads job_extra: an object or its JSON text; nothing means an empty one.
func (c *call) extra() (protocol.Object, error) {
	v, _ := c.params.Get("job_extra")
	switch v := v.(type) {
	case nil:
		return protocol.Object{}, nil
	case protocol.Object:
		return v, nil
	case string:
		if strings.TrimSpace(v) == "" {
			return protocol.Object{}, nil
		}
		if o, err := protocol.DecodeObject([]byte(v)); err == nil {
			return o, nil
		}
	}
	return nil, errExtra
}
