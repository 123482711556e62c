package redis

import "strings"

// keys are the names of all keys of the backend. All stand behind the prefix.
//
// Of Celery (celery.backends), read and written by every Python peer too:
//
//	celery-task-meta-<id>         string   a result; also the channel it is pushed on
//	celery-taskset-meta-<group>   string   G, a saved GroupResult
//	G.j                           zset     a chord's parts by group_index; a list where
//	                                       chords are unordered
//	G.t                           string   how many parts were added later
//	G.s                           string   how many parts the sender announced
//	G.d                           set      "<task id>:<index>" of counted parts
//	G.c                           string   who finishes the chord: a token, then "done"
//
// Celery < 5.7 knows neither G.d nor G.c and tells parts apart by their bytes.
// Results and G live for Config.Expires, the chord's keys for
// Config.ChordExpires since the last part, G.c for the seconds below.
//
// Our own, written by Umbel's senders and workers and read by OrphanChords. When
// they are deleted chords work on, but one whose finisher dies is not finished by
// another:
//
//	umbel:chord:<group>   hash   body      the chord's body, a signature
//	                             root_id   of its header's tasks
//	                             chord_size  the size where there is no G.s, else 0
//	                             since     when it was written, Unix seconds
//	                             complete  when its parts were first seen to be all
//	                                       there, one of them from Celery < 5.7
//	umbel:chords          zset   groups of the above by when to look at them next,
//	                             Unix seconds of the server's clock
//
// Both live as long as the chord's keys, the index as long as its last member.
type keys struct{ prefix string }

func newKeys(global string) keys {
	if global != "" && !strings.ContainsAny(global[len(global)-1:], ":_-.") {
		global += "_"
	}
	return keys{global}
}

func (k keys) task(id string) string      { return k.prefix + "celery-task-meta-" + id }
func (k keys) group(group string) string  { return k.prefix + groupKeyPrefix + group }
func (k keys) record(group string) string { return k.prefix + "umbel:chord:" + group }
func (k keys) index() string              { return k.prefix + "umbel:chords" }

const groupKeyPrefix = "celery-taskset-meta-"

const (
	partsSuffix   = ".j"
	addedSuffix   = ".t"
	sizeSuffix    = ".s"
	countedSuffix = ".d"
	claimSuffix   = ".c"
)

// Lifetimes in seconds, as Celery 5.7 has them by default.
const (
	// claimTTL is 2 * result_chord_join_timeout.
	claimTTL = 6
	// publishTTL is what a claim holder has to publish the body: a connect
	// timeout for each attempt, and the waits between.
	publishTTL = 21
	// doneTTL is how long late copies of a header task are recognised.
	doneTTL = 300
)
