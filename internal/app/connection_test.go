package app

import "testing"

func TestRedactURL(t *testing.T) {
	for raw, want := range map[string]string{
		"redis://:secret@h:6379/0":                    "redis://:xxxxx@h:6379/0",
		"redis://h/1":                                 "redis://h/1",
		"amqp://u:secret@a//; amqp://v:secret@b/shop": "amqp://u:xxxxx@a//;amqp://v:xxxxx@b/shop",
		"redis://a;redis://b;":                        "redis://a;redis://b;",
		"redis://:1;secret@h":                         "(a URL that cannot be shown)",
		"redis://:se cret@h":                          "(a URL that cannot be shown)",
	} {
		if got := redactURL(raw); got != want {
			t.Errorf("redactURL(%q) = %q, want %q", raw, got, want)
		}
	}
}
