package protocol

// Message is one broker message as every Celery transport carries it, free of
// the transport's own envelope. Redis wraps it in a JSON object with a base64
// body, AMQP in properties and a field table; a broker driver translates both.
type Message struct {
	// Headers are the application headers in wire order. Values are nil, bool,
	// string, json.Number, []any and Object.
	Headers         Object
	ContentType     string
	ContentEncoding string
	Properties      Properties
	// Body is the serialized payload, after the transport's own encoding
	// (base64 on Redis) is undone and before decompression.
	Body []byte
	// Malformed is set by a broker driver on an element that is not a kombu
	// envelope at all; Body then holds the element as it was found, and
	// DecodeTask refuses it with FateDead.
	Malformed string
}

// Properties are the message properties that Celery uses.
type Properties struct {
	// CorrelationID is the task id for task messages (kombu).
	CorrelationID string
	// ReplyTo names the queue for rpc results; empty when none is wanted.
	ReplyTo string
	// DeliveryMode is 2 for persistent and 1 for transient; 0 means 2.
	DeliveryMode int
	// Priority is nil when the message carries none. On Redis 0 is consumed
	// first, on RabbitMQ last.
	Priority *int
	// Expiration is RabbitMQ's per-message TTL, milliseconds in decimal; empty
	// when none.
	Expiration string
	// Exchange and RoutingKey are the producer's delivery_info. The Redis
	// restore path finds the queue by them.
	Exchange   string
	RoutingKey string
	// DeliveryTag is the tag inside a Redis envelope, minted by the producer
	// and kept over redeliveries. Empty on AMQP.
	DeliveryTag string
}

// NewMessage returns a persistent UTF-8 JSON message with the given body.
func NewMessage(headers Object, body []byte) *Message {
	return &Message{
		Headers:         headers,
		ContentType:     ContentTypeJSON,
		ContentEncoding: "utf-8",
		Properties:      Properties{DeliveryMode: Persistent},
		Body:            body,
	}
}

// Delivery modes.
const (
	Transient  = 1
	Persistent = 2
)
