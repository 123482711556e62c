package web

import "strings"

// Badge shows a state by icon, word and colour together, so that none of them
// is needed to read it.
type Badge struct {
	Word string
	Icon string // symbol of partials/icons.html
	Tone string // colour class: good, bad, warn, run, info, idle
}

// looks maps states of tasks, workers and workflow runs, in capitals.
var looks = map[string]struct{ icon, tone string }{
	"PENDING":  {"dots", "idle"},
	"SENT":     {"dots", "idle"},
	"RECEIVED": {"tray", "info"},
	"STARTED":  {"play", "run"},
	"SUCCESS":  {"check", "good"},
	"FAILURE":  {"cross", "bad"},
	"RETRY":    {"loop", "warn"},
	"REVOKED":  {"stop", "idle"},
	"REJECTED": {"stop", "warn"},
	"IGNORED":  {"skip", "idle"},
	"LOST":     {"ask", "bad"},

	"ONLINE":  {"disc", "good"},
	"STALE":   {"half", "warn"},
	"OFFLINE": {"ring", "idle"},

	"WAITING":         {"dots", "idle"},
	"QUEUED":          {"tray", "info"},
	"READY":           {"tray", "info"},
	"RUNNING":         {"play", "run"},
	"SUCCEED":         {"check", "good"},
	"SUCCEEDED":       {"check", "good"},
	"FINISHED":        {"check", "good"},
	"FINISH":          {"check", "good"},
	"FAILED":          {"cross", "bad"},
	"UPSTREAM_FAILED": {"cross", "warn"},
	"DISPATCHING":     {"tray", "info"},
	"UP_FOR_RETRY":    {"loop", "warn"},
	"TIMED_OUT":       {"clock", "bad"},
	"SKIPPED":         {"skip", "idle"},
	"PAUSED":          {"pause", "warn"},
	"CANCELLED":       {"stop", "idle"},
	"CANCELING":       {"stop", "warn"},
	"CANCELLING":      {"stop", "warn"},
	"TIMEOUT":         {"clock", "bad"},
}

// Look is the badge of a state in English, for pictures that are not drawn by a
// template.
func Look(state string) Badge {
	return badgeOf(state, func(text string, _ ...any) string { return text })
}

// badgeOf describes a state; one that a user invented gets a neutral look. A
// state in capitals is Celery's own word and stays; others are ours, shown
// capitalised and translated by t.
func badgeOf(state string, t func(string, ...any) string) Badge {
	look, ok := looks[strings.ToUpper(state)]
	if !ok {
		return Badge{Word: state, Icon: "tag", Tone: "info"}
	}
	word := state
	if word != strings.ToUpper(word) {
		word = strings.ReplaceAll(word, "_", " ")
		word = t(strings.ToUpper(word[:1]) + word[1:])
	}
	return Badge{Word: word, Icon: look.icon, Tone: look.tone}
}
