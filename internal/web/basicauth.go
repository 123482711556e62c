package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
)

// credentials are the digests of the "user:password" pairs that are let in.
// Digests make every comparison equally long.
type credentials [][sha256.Size]byte

func newCredentials(pairs []string) (credentials, error) {
	var c credentials
	for i, pair := range pairs {
		if user, _, ok := strings.Cut(pair, ":"); !ok || user == "" {
			return nil, fmt.Errorf("basic auth entry %d is not of the form user:password", i+1)
		}
		c = append(c, sha256.Sum256([]byte(pair)))
	}
	return c, nil
}

// match reports whether an Authorization header carries one of the pairs.
// As in Flower the scheme is exactly "Basic".
func (c credentials) match(header string) bool {
	encoded, ok := strings.CutPrefix(header, "Basic ")
	if !ok {
		return false
	}
	pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return false
	}
	given := sha256.Sum256(pair)
	found := 0
	for i := range c {
		found |= subtle.ConstantTimeCompare(given[:], c[i][:])
	}
	return found == 1
}
