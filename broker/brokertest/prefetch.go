package brokertest

import "testing"

// setPrefetch raises the limit while it is reached, then lowers it below what is
// held.
func (s suite) setPrefetch(t *testing.T) {
	b, q := s.broker(t), unique("q")
	publish(t, b, q, "a", "b", "c", "d", "e")
	c := consume(t, b, 1, q)
	held := claim(t, c, 1, wait)
	none(t, c)
	c.SetPrefetch(3)
	held = append(held, claim(t, c, 2, wait)...)
	none(t, c)
	c.SetPrefetch(0)
	ack(t, held[:2]...)
	none(t, c)
	ack(t, held[2])
	last := claim(t, c, 1, wait)
	none(t, c)
	ack(t, last...)
	ack(t, claim(t, c, 1, wait)...)
}
