-- Pendings: what running and finished calls may cost or have cost, until the ledger has it (SPEC 7).
--
-- KEYS[1]  nz:{tenant}:bud; here its fields `p:<id>`
-- KEYS[2]  nz:{tenant}:pend, a sorted set: id -> the millisecond until which its field is kept
--
-- An ended pending is a tombstone: whatever comes late finds it, and does nothing.

local OPEN, SETTLED, ENDED = 'o', 's', 'x'
-- A call that nobody speaks for any more, one whose record is not in the ledger yet, a tombstone.
local KEPT_MS = {o = 15 * 60 * 1000, s = 24 * 60 * 60 * 1000, x = 60 * 1000}
local MOST_DROPPED = 10

local charges = {}

-- Add to the sums of a pending's scopes, when `write_charges` is called.
local function charge(pending, tokens)
  if tokens == 0 then
    return
  end
  for _, scope in ipairs({'t', pending.scope}) do
    for _, term in ipairs(terms(scope, pending.day)) do
      charges[term] = (charges[term] or 0) + tokens
    end
  end
end

local function write_charges()
  for term, tokens in pairs(charges) do
    if redis.call('HINCRBY', KEYS[1], 'sum:' .. term, tokens) == 0 then
      redis.call('HDEL', KEYS[1], 'sum:' .. term)
    end
  end
  charges = {}
end

local function read(id)
  local text = redis.call('HGET', KEYS[1], 'p:' .. id)
  if not text then
    return nil
  end
  local state, scope, day, tokens, at, drawn_at, drawn =
    string.match(text, '^(%a) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    id = id, state = state, scope = scope, day = day, tokens = tonumber(tokens),
    at = tonumber(at), drawn_at = tonumber(drawn_at), drawn = tonumber(drawn),
  }
end

-- A call of which no window knows anything (any more).
local function unbooked(id, state, scope, day, tokens)
  return {
    id = id, state = state, scope = scope, day = day, tokens = tokens, at = 0, drawn_at = 0, drawn = 0,
  }
end

local function keep(pending)
  redis.call('HSET', KEYS[1], 'p:' .. pending.id, string.format('%s %s %s %.0f %.0f %.0f %.0f',
    pending.state, pending.scope, pending.day, pending.tokens,
    pending.at, pending.drawn_at, pending.drawn))
  redis.call('ZADD', KEYS[2], now + KEPT_MS[pending.state], pending.id)
end

local function bury(id)
  keep(unbooked(id, ENDED, '-', '-', 0))
end

-- Forget some of what has been kept for long enough: more than a call can add.
local function drop_expired()
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, MOST_DROPPED)) do
    local pending = read(id)
    if pending then
      charge(pending, -pending.tokens)
      redis.call('HDEL', KEYS[1], 'p:' .. id)
    end
    redis.call('ZREM', KEYS[2], id)
  end
  write_charges()
end
