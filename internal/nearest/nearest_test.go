package nearest

import "testing"

func TestName(t *testing.T) {
	known := []string{"sep", "visibility_timeout", "socket_timeout", "global_keyprefix"}
	for name, want := range map[string]string{
		"visiblity_timeout":  "visibility_timeout",
		"visibility_timeout": "visibility_timeout",
		"socket_timeuot":     "socket_timeout",
		"global_key_prefix":  "global_keyprefix",
		"sap":                "sep",
		"s":                  "",
		"":                   "",
		"colour":             "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("Name(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
