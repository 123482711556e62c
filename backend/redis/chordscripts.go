package redis

import "github.com/gomodule/redigo/redis"

// The keys of a chord, by Celery >= 5.7 (celery.backends.redis); G is
// celery-taskset-meta-<group id>:
//
//	G     string   the saved GroupResult of a header that has groups in it
//	G.j   zset     parts by group_index; a list where chords are unordered
//	G.t   string   how many parts were added later
//	G.s   string   how many parts the sender announced
//	G.d   set      "<task id>:<index>" of counted parts
//	G.c   string   who finishes the chord: a token, then "done" for a while
//
// Every worker of the fleet, Python's included, reads and writes all of them.
// Celery < 5.7 knows neither G.d nor G.c and tells parts apart by their bytes.
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

// partScript records one part and claims the chord for the caller when it was
// the last one missing.
//
//	KEYS     G.j G.t G.s G.d G G.c
//	ARGV[1]  task id
//	ARGV[2]  the part, JSON
//	ARGV[3]  "1" when parts are ordered
//	ARGV[4]  group_index as decimal text, or "+inf"
//	ARGV[5]  seconds to keep the chord's keys, 0 for ever
//	ARGV[6]  seconds to keep G, 0 for ever
//	ARGV[7]  the caller's token
//	ARGV[8]  seconds that a claim lasts
//	ARGV[9]  how the JSON of every part of this task begins
//	ARGV[10] size to assume without G.s, 0 when unknown
//
// Returns 0 when the caller has no claim, 1 when it has, 2 when it has one and
// the size was the assumed one. The first result of a
// (task id, index) is kept. A peer of Celery 5.6 leaves no G.d, so G.j is looked
// at too. A task whose id stands at two indexes of the header may return equal
// parts, which a zset would hold once: a trailing blank, which JSON readers skip,
// keeps them apart. The claim is for whoever sets it; the same token again, after a reply
// that was lost, holds it still.
var partScript = redis.NewScript(6, `
local parts, added, size, counted, group, claim = unpack(KEYS)
local part, index, token = ARGV[2], ARGV[4], ARGV[7]
local ordered = ARGV[3] == '1'
if redis.call('GET', claim) == 'done' then
  return 0
end

local member = ARGV[1] .. ':' .. index
if redis.call('SISMEMBER', counted, member) == 0 then
  local known = false
  if ordered then
    for _, p in ipairs(redis.call('ZRANGEBYSCORE', parts, index, index)) do
      known = known or string.sub(p, 1, #ARGV[9]) == ARGV[9]
    end
  end
  if ordered and not known then
    while redis.call('ZSCORE', parts, part) do
      part = part .. ' '
    end
    redis.call('ZADD', parts, index, part)
  elseif not known then
    redis.call('RPUSH', parts, part)
  end
  redis.call('SADD', counted, member)
end

if ARGV[5] ~= '0' then
  for i = 1, 4 do
    redis.call('EXPIRE', KEYS[i], ARGV[5])
  end
end
if ARGV[6] ~= '0' then
  redis.call('EXPIRE', group, ARGV[6])
end

local announced = redis.call('GET', size)
local total = tonumber(announced or ARGV[10])
if total == 0 then
  return 0
end
total = total + tonumber(redis.call('GET', added) or 0)
local count = redis.call(ordered and 'ZCARD' or 'LLEN', parts)
if count ~= total then
  return 0
end
if redis.call('SET', claim, token, 'NX', 'EX', ARGV[8]) or redis.call('GET', claim) == token then
  return announced and 1 or 2
end
return 0
`)

// extendScript renews a claim, and takes it back when it has lapsed, nobody else
// took it and the chord is still there.
//
//	KEYS[1]  G.c
//	KEYS[2]  G.s; for chords of Celery <= 5.0, which have none, G.j
//	ARGV     token, seconds
//
// Returns 1 when the caller holds the claim, else 0.
var extendScript = redis.NewScript(2, `
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  return redis.call('EXPIRE', KEYS[1], ARGV[2])
end
if not holder and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
  return 1
end
return 0
`)

// doneScript forgets a chord whose body is published, if the caller still holds
// the claim, and leaves a mark for late copies of its header tasks.
//
//	KEYS     G.c G.j G.t G.s G.d
//	ARGV     token, seconds to keep the mark
//
// Returns 1 when the claim was the caller's, else 0 and nothing is changed.
var doneScript = redis.NewScript(5, `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])
return 1
`)

// failedScript ends a chord whose body will not run: without its size no copy of
// a header task ends it again. Parts stay until they expire, as in Celery. A
// chord of Celery <= 5.0 has no size key, so it is marked as done instead.
//
//	KEYS     G.s G.c
//	ARGV     token, seconds to keep the mark
//
// Returns 1.
var failedScript = redis.NewScript(2, `
if redis.call('DEL', KEYS[1]) == 0 and redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[2], 'done', 'EX', ARGV[2])
end
return 1
`)
