package redis

import "github.com/gomodule/redigo/redis"

// The scripts of a chord. G, and its companions G.j to G.c, R (the record) and I
// (the index) are described at keys. Every worker of the fleet, Python's
// included, works on G.*; R and I are Umbel's.

const (
	// lookEvery is how many seconds pass between two looks at an unfinished chord.
	lookEvery = 30
	// sizeLate is after how many seconds a chord without a size has failed rather
	// than not been announced yet.
	sizeLate = 3600
)

// rememberLua defines remember: it writes the record that another process needs
// to finish the chord, and has the chord looked at from time to time.
const rememberLua = `
local function remember(record, index, group, body, root, chord_size, ttl, every)
  local now = tonumber(redis.call('TIME')[1])
  redis.call('HSET', record, 'body', body, 'root_id', root, 'chord_size', chord_size, 'since', now)
  redis.call('ZADD', index, now + every, group)
  if ttl ~= '0' then
    redis.call('EXPIRE', record, ttl)
    redis.call('EXPIRE', index, ttl)
  end
end
`

// startScript announces a chord. Parts that came before their size are kept. As
// many parts as the chord has, without a size, are what a failed run under the
// same id has left (Celery's bug: it would join them again).
//
//	KEYS     G.j G.t G.s G.d G.c R I
//	ARGV[1]  number of parts
//	ARGV[2]  seconds to keep the keys, 0 for ever
//	ARGV[3]  "1" when parts are ordered
//	ARGV[4]  group id
//	ARGV[5]  the body, "" when nobody can finish the chord for its last worker
//	ARGV[6]  root id
//	ARGV[7]  seconds between two looks
//
// Returns 1.
var startScript = redis.NewScript(7, rememberLua+`
local parts, added, size, counted, claim, record, index = unpack(KEYS)
local number, ttl, ordered, id, body, root, every = unpack(ARGV)
redis.call('DEL', claim)
if redis.call('EXISTS', size) == 0 then
  local count = redis.call(ordered == '1' and 'ZCARD' or 'LLEN', parts)
  if count >= number + (redis.call('GET', added) or 0) then
    redis.call('DEL', parts, added, counted)
  end
end
redis.call('SET', size, number)
if ttl ~= '0' then
  redis.call('EXPIRE', size, ttl)
end
if body ~= '' then
  remember(record, index, id, body, root, 0, ttl, every)
end
return 1
`)

// partScript records one part and claims the chord for the caller when it was
// the last one missing.
//
//	KEYS     G.j G.t G.s G.d G G.c R I
//	ARGV[1]  task id
//	ARGV[2]  the part, JSON
//	ARGV[3]  "1" when parts are ordered
//	ARGV[4]  group_index as decimal text, or "+inf"
//	ARGV[5]  seconds to keep the chord's keys, 0 for ever
//	ARGV[6]  seconds to keep G, 0 for ever
//	ARGV[7]  the caller's token
//	ARGV[8]  seconds that a claim lasts
//	ARGV[9]  how every part of this task begins, "" when that cannot be told
//	ARGV[10] size to assume without G.s, 0 when unknown
//	ARGV[11] group id
//	ARGV[12] the body, "" when it is not known
//	ARGV[13] root id
//	ARGV[14] seconds between two looks
//	ARGV[15] what readers skip at the end of a part, "" when nothing
//
// Returns 0 when the caller has no claim, 1 when it has, 2 when it has one and
// the size was the assumed one. The first result of a (task id, index) is kept. A
// peer of Celery 5.6 leaves no G.d, so G.j is looked at too: what begins a part of
// this task is put in and taken out again, since the part, if there is one, stands
// next to it. (Reading all parts of the index would read the whole chord where
// parts have none.) A task whose id stands at two indexes of the header may return
// equal parts, which a zset would hold once: what readers skip keeps them apart.
// The claim is for whoever sets it; the same token again, after a reply that was
// lost, holds it still.
var partScript = redis.NewScript(8, rememberLua+`
local parts, added, size, counted, group, claim, record, index = unpack(KEYS)
local task, part, ordered, place, ttl, group_ttl, token, claim_ttl, beginning, assumed, id, body, root, every, padding =
  unpack(ARGV)
ordered = ordered == '1'
if redis.call('GET', claim) == 'done' then
  return 0
end

local member = task .. ':' .. place
if redis.call('SISMEMBER', counted, member) == 0 then
  local known = false
  if ordered and beginning ~= '' then
    redis.call('ZADD', parts, place, beginning)
    local before = redis.call('ZRANK', parts, beginning) - redis.call('ZCOUNT', parts, '-inf', '(' .. place)
    local beside = redis.call('ZRANGEBYSCORE', parts, place, place, 'LIMIT', before + 1, 1)[1]
    redis.call('ZREM', parts, beginning)
    known = beside and string.sub(beside, 1, #beginning) == beginning
  end
  if ordered and not known then
    while padding ~= '' and redis.call('ZSCORE', parts, part) do
      part = part .. padding
    end
    redis.call('ZADD', parts, place, part)
  elseif not known then
    redis.call('RPUSH', parts, part)
  end
  redis.call('SADD', counted, member)
end

if ttl ~= '0' then
  for _, key in ipairs({parts, added, size, counted, record, index}) do
    redis.call('EXPIRE', key, ttl)
  end
end
if group_ttl ~= '0' then
  redis.call('EXPIRE', group, group_ttl)
end
if body ~= '' and redis.call('EXISTS', record) == 0 then
  remember(record, index, id, body, root, assumed, ttl, every)
end

local announced = redis.call('GET', size)
local total = tonumber(announced or assumed)
if total == 0 then
  return 0
end
total = total + tonumber(redis.call('GET', added) or 0)
local count = redis.call(ordered and 'ZCARD' or 'LLEN', parts)
if count ~= total then
  return 0
end
if redis.call('SET', claim, token, 'NX', 'EX', claim_ttl) or redis.call('GET', claim) == token then
  redis.call('ZADD', index, 'XX', redis.call('TIME')[1] + claim_ttl, id)
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
//	KEYS     G.c G.j G.t G.s G.d R I
//	ARGV     token, seconds to keep the mark, group id
//
// Returns 1 when the claim was the caller's, else 0 and nothing is changed.
var doneScript = redis.NewScript(7, `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('ZREM', KEYS[7], ARGV[3])
redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])
return 1
`)

// failedScript ends a chord whose body will not run: without its size no copy of
// a header task ends it again. Parts stay until they expire, as in Celery. A
// chord of Celery <= 5.0 has no size key, so it is marked as done instead.
//
//	KEYS     G.s G.c R I
//	ARGV     token, seconds to keep the mark, group id
//
// Returns 1.
var failedScript = redis.NewScript(4, `
if redis.call('DEL', KEYS[1]) == 0 and redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('SET', KEYS[2], 'done', 'EX', ARGV[2])
end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[3])
return 1
`)
