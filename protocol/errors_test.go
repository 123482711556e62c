package protocol

import (
	"errors"
	"testing"
)

func TestErrorText(t *testing.T) {
	cause := errors.New("unexpected end")
	for _, c := range []struct {
		err         Error
		long, short string
	}{
		{
			Error{Kind: KindContent, TaskName: "demo.add", TaskID: "i", Reason: "pickle is not accepted"},
			"message of task demo.add[i] cannot be used (content): pickle is not accepted", "content: pickle is not accepted",
		},
		{
			Error{Kind: KindMalformed, Reason: "body is not JSON", Err: cause},
			"message cannot be used (malformed): body is not JSON: unexpected end", "malformed: body is not JSON: unexpected end",
		},
		{Error{Kind: KindMalformed, Err: cause}, "message cannot be used (malformed): unexpected end", "malformed: unexpected end"},
	} {
		if long, short := c.err.Error(), c.err.Short(); long != c.long || short != c.short {
			t.Errorf("%q and %q, want %q and %q", long, short, c.long, c.short)
		}
	}
}
