package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/gomodule/redigo/redis"
	"github.com/umbel-go/umbel/broker"
)

// claimScript takes up to n messages and records each as kombu would, so that a
// message is at every moment either in its list or in unacked.
//
//	KEYS: unacked, unacked_index, umbel:claims, then the lists: for each priority
//	      step those of all queues
//	ARGV: n, tag prefix, number of the first claim, number of queues, "share" to
//	      divide what a step gives among its queues or "drain" to empty one after
//	      the other, then for each queue its name as JSON
//	Result: for each claim the index of its list and the element as it was; the
//	        tags are prefix and number, counted up
//	Atomic. Kombu reads and deletes unacked and unacked_index. The pop comes
//	first: Redis refuses no write for lack of memory after it, and each queue's
//	pops are recorded before another key is touched.
//
// An element that does not look like a JSON object is recorded inside an
// envelope (wrapMalformed): Python's restore would end on anything else.
var claimScript = redis.NewScript(-1, `
local want, prefix, number, queues = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', tonumber(t[2]))
local out = {}

local function wrap(raw, queue, tag)
  local hex = {}
  for i = 1, #raw do hex[i] = string.format('%02x', string.byte(raw, i)) end
  return '{"body": "' .. table.concat(hex) .. '", "content-encoding": "binary", "content-type": "application/data", ' ..
    '"headers": {"umbel_malformed": "hex"}, "properties": {"delivery_info": {"exchange": "", "routing_key": ' ..
    queue .. '}, "priority": 0, "delivery_tag": "' .. tag .. '"}}'
end

local function record(list, queue, got)
  local hash, zset = {}, {}
  for _, raw in ipairs(got) do
    local tag = prefix .. string.format('%.0f', number)
    local element = raw
    if string.byte(raw, 1) ~= 123 or string.byte(raw, -1) ~= 125 then element = wrap(raw, queue, tag) end
    number = number + 1
    hash[#hash + 1] = tag
    hash[#hash + 1] = '[' .. element .. ', "", ' .. queue .. ']'
    zset[#zset + 1] = now
    zset[#zset + 1] = tag
    out[#out + 1] = list
    out[#out + 1] = raw
  end
  redis.call('HSET', KEYS[1], unpack(hash))
  redis.call('ZADD', KEYS[2], unpack(zset))
  redis.call('ZADD', KEYS[3], unpack(zset))
end

for first = 4, #KEYS, queues do
  local open = {}
  for q = 0, queues - 1 do
    if redis.call('LLEN', KEYS[first + q]) > 0 then open[#open + 1] = q end
  end
  while want > 0 and #open > 0 do
    local share, left = want, {}
    if ARGV[5] == 'share' then share = math.ceil(want / #open) end
    for _, q in ipairs(open) do
      local take = math.min(share, want)
      local got = take > 0 and redis.call('RPOP', KEYS[first + q], take)
      if got and #got > 0 then
        record(first + q - 4, ARGV[6 + q], got)
        want = want - #got
        if #got == take then left[#left + 1] = q end
      end
    end
    open = left
  end
  if want == 0 then break end
end
return out
`)

// claim runs the script once. What it took is returned even when ctx has ended
// meanwhile; after Close it is given back.
func (c *consumer) claim(ctx context.Context, n int) ([]broker.Delivery, error) {
	c.claiming.Lock()
	defer c.claiming.Unlock()
	queues := c.ordered()
	if len(queues) == 0 {
		return nil, nil
	}
	lists, args := c.claimArgs(queues, n)
	var reply []any
	err := c.b.with(ctx, "claim", func(conn redis.Conn) (err error) {
		c.b.pace.wait()
		reply, err = redis.Values(claimScript.Do(conn, args...))
		return err
	})
	if err != nil {
		// The script may have run: under the numbers that it used, a second claim
		// would overwrite the records of the first. What it took comes back when
		// its lease runs out.
		c.number += uint64(n)
		return nil, err
	}
	got := c.deliveries(reply, queues, lists)
	if c.open.Err() != nil {
		return nil, errors.Join(fmt.Errorf("claim: %w", broker.ErrClosed), c.giveBack(got))
	}
	return got, nil
}

// ordered are the queues in the order of the next claim: with round robin each
// begins with another one.
func (c *consumer) ordered() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, len(c.queues))
	for i := range c.queues {
		names[i] = c.queues[(i+c.turn)%len(c.queues)].Name
	}
	switch c.b.cfg.QueueOrder {
	case RoundRobin:
		c.turn++
	case Sorted:
		slices.Sort(names)
	}
	return names
}

func (c *consumer) claimArgs(queues []string, n int) (lists []string, args []any) {
	k := c.b.keys
	for _, step := range k.steps {
		for _, q := range queues {
			lists = append(lists, k.list(q, step))
		}
	}
	args = []any{3 + len(lists), k.unacked(), k.unackedIndex(), k.claims()}
	for _, key := range lists {
		args = append(args, key)
	}
	sharing := "drain"
	if c.b.cfg.QueueOrder == RoundRobin {
		sharing = "share"
	}
	args = append(args, n, c.tag, c.number, len(queues), sharing)
	for _, q := range queues {
		args = append(args, appendText(nil, q))
	}
	return lists, args
}

func (c *consumer) deliveries(reply []any, queues, lists []string) []broker.Delivery {
	out := make([]broker.Delivery, 0, len(reply)/2)
	var unfit []*delivery
	for i := 0; i+1 < len(reply); i += 2 {
		at, _ := reply[i].(int64)
		raw, _ := reply[i+1].([]byte)
		d := &delivery{
			c:        c,
			tag:      c.tag + strconv.FormatUint(c.number, 10),
			queue:    queues[int(at)%len(queues)],
			list:     lists[at],
			envelope: raw,
			lost:     make(chan struct{}),
		}
		c.number++
		d.message, d.redelivered = decodeEnvelope(raw)
		if fit := fitForPython(d); !bytes.Equal(fit, raw) {
			d.envelope = fit
			unfit = append(unfit, d)
		}
		out = append(out, d)
	}
	c.mu.Lock()
	for _, d := range out {
		d := d.(*delivery)
		c.inflight[d.tag] = d
	}
	c.mu.Unlock()
	c.amend(unfit)
	return out
}

// fitForPython is the envelope as it is recorded and goes back: one over which
// neither kombu's restore nor a Python worker stumbles.
func fitForPython(d *delivery) []byte {
	switch {
	case d.message.Malformed == "":
		return completeEnvelope(d.envelope, d.message, d.queue, d.tag)
	case bytes.Equal(d.message.Body, d.envelope):
		return wrapMalformed(d.envelope, d.queue, d.tag)
	}
	return d.envelope // wrapped already
}

// amendScript replaces records of claims.
//
//	KEYS: unacked
//	ARGV: tag, record, tag, record ...
//	Atomic. Leaves alone what is no longer there.
var amendScript = redis.NewScript(1, `
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
`)

// amend replaces the records of what looks like an envelope and is none or is
// incomplete, before Python can stumble over them. Without it the claims hold
// all the same.
func (c *consumer) amend(unfit []*delivery) {
	if len(unfit) == 0 {
		return
	}
	args := []any{c.b.keys.unacked()}
	for _, d := range unfit {
		if d.message.Malformed != "" {
			slog.WarnContext(c.ctx, "claimed an element that is no message", "queue", d.queue, "reason", d.message.Malformed)
		}
		args = append(args, d.tag, "["+string(d.envelope)+recordTail(d.queue))
	}
	err := c.b.with(c.ctx, "record malformed messages", func(conn redis.Conn) error {
		_, err := amendScript.Do(conn, args...)
		return err
	})
	if err != nil {
		slog.WarnContext(c.ctx, "malformed messages are recorded as they are", "error", err)
	}
}
