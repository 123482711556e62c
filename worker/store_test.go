package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/umbel-go/umbel/backend"
	"github.com/umbel-go/umbel/protocol"
)

// refusing is a backend that answers every question with an error.
type refusing struct {
	*fakeBackend
	err error
}

func (r refusing) Get(context.Context, string) (*protocol.Result, error) { return nil, r.err }

// A backend that will never take a result stops the worker before it takes a
// task; one that is away or cannot be asked does not.
func TestCheckBackend(t *testing.T) {
	wrongPassword := errors.New("WRONGPASS invalid username-password pair")
	for _, tt := range []struct{ err, want error }{
		{nil, nil}, {backend.ErrUnsupported, nil}, {fmt.Errorf("get: %w", backend.ErrConnection), nil}, {wrongPassword, wrongPassword},
	} {
		w := New(Config{Broker: &fakeBroker{}, Backend: refusing{&fakeBackend{}, tt.err}})
		err := w.checkBackend(t.Context())
		if !errors.Is(err, tt.want) {
			t.Errorf("%v gives %v, want %v", tt.err, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "result backend") {
			t.Errorf("%v does not say what it is about", err)
		}
	}
}
