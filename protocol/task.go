package protocol

import "time"

// Task is a task message: protocol v2, v1 or a mixture of both, decoded.
type Task struct {
	// Headers that Celery knows. A missing one has its zero value here.
	Lang       string
	Name       string
	ID         string
	Shadow     string
	ETA        time.Time
	Expires    time.Time
	Group      string
	GroupIndex *int
	Retries    int
	// HardLimit and SoftLimit are seconds, 0 when none. On the wire timelimit
	// is [hard, soft], whatever older documentation says.
	HardLimit  float64
	SoftLimit  float64
	RootID     string
	ParentID   string
	ArgsRepr   string
	KwargsRepr string
	Origin     string
	// IgnoreResult is nil when the sender left it to the task's own setting.
	IgnoreResult        *bool
	ReplacedTaskNesting int
	StampedHeaders      []string
	Stamps              Object
	// Headers holds every header that is not Celery's, in order: user headers,
	// tracing. They survive retries.
	Headers Object

	Args   []Raw
	Kwargs []RawField
	// Callbacks, Errbacks and Chord are the embedded signatures. Chain is in
	// reverse order: the next step is the last element.
	Callbacks []Signature
	Errbacks  []Signature
	Chain     []Signature
	Chord     *Signature

	// Serializer and Compression say how the body was written and how Encode
	// writes it: "json" (also ""), "msgpack" or "yaml", and "" for no
	// compression, else kombu's names "zlib", "zstd", "brotli", "lzma". What is
	// read but not written has a stand-in that every peer knows: "json" for
	// pickle, "zlib" for bzip2.
	Serializer  string
	Compression string

	// Version is the protocol that the message spoke: 1 or 2.
	Version int

	CorrelationID string
	ReplyTo       string
	Priority      *int
	DeliveryMode  int
	Expiration    string
	Exchange      string
	RoutingKey    string
	Redelivered   bool
}

// KwargsObject is the keyword arguments as an object of raw values.
func (t *Task) KwargsObject() Object {
	o := make(Object, len(t.Kwargs))
	for i, f := range t.Kwargs {
		o[i] = Field{f.Name, f.Value}
	}
	return o
}

// DisplayName is what logs and inspect show: the shadow if the sender gave one.
func (t *Task) DisplayName() string {
	if t.Shadow != "" {
		return t.Shadow
	}
	return t.Name
}
