package redis

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/umbel-go/umbel/backend"
)

// claims remembers the tokens of AddPart calls that ended in an error. Redis may
// have given such a call the claim before the connection broke; when it is made
// again it uses the same token and so finds the claim to be its own. Otherwise
// nobody would finish the chord.
type claims struct {
	mu   sync.Mutex
	open map[claimant]openClaim
}

type claimant struct{ group, task, index string }

type openClaim struct {
	token string
	since time.Time
}

func claimantOf(p backend.Part) claimant {
	return claimant{p.Group, p.Result.TaskID, indexText(p.Index)}
}

// token returns the token of the same call that failed before, or a new one.
func (c *claims) token(p backend.Part) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := claimantOf(p)
	if o, ok := c.open[k]; ok {
		delete(c.open, k)
		return o.token
	}
	return newToken()
}

// keep remembers a token for as long as a claim may last.
func (c *claims) keep(p backend.Part, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for k, o := range c.open {
		if now.Sub(o.since) > publishTTL*time.Second {
			delete(c.open, k)
		}
	}
	if c.open == nil {
		c.open = map[claimant]openClaim{}
	}
	c.open[claimantOf(p)] = openClaim{token, now}
}

// newToken is a claim's token as Python makes them: 32 hex digits.
func newToken() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
