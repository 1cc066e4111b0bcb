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
-- What a script changes and keeps as it is, by id, and what it charges, by term, until it writes
-- all of it; and what it has read.
local changed, renewed, charges, texts = {}, {}, {}, {}

-- Add to the sums of a pending's scopes.
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

-- Read many at once, for `read` to find.
local function read_ahead(ids)
  for first = 1, #ids, MOST_AT_ONCE do
    local fields = {}
    for place = first, math.min(first + MOST_AT_ONCE - 1, #ids) do
      fields[#fields + 1] = 'p:' .. ids[place]
    end
    for place, text in ipairs(redis.call('HMGET', KEYS[1], unpack(fields))) do
      texts[ids[first + place - 1]] = text
    end
  end
end

local function read(id)
  if changed[id] then
    return changed[id]
  end
  local text = texts[id]
  if text == nil then
    text = redis.call('HGET', KEYS[1], 'p:' .. id)
  end
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
  changed[pending.id] = pending
end

-- Keep it for longer, as it is.
local function renew(pending)
  renewed[pending.id] = pending.state
end

local function bury(id)
  keep(unbooked(id, ENDED, '-', '-', 0))
end

local function write_charges(fields)
  local emptied = {}
  for term, tokens in pairs(charges) do
    local kept = sums[term] or tonumber(redis.call('HGET', KEYS[1], 'sum:' .. term)) or 0
    sums[term] = kept + tokens
    if sums[term] == 0 then
      emptied[#emptied + 1] = 'sum:' .. term
    else
      fields[#fields + 1] = 'sum:' .. term
      fields[#fields + 1] = sums[term]
    end
  end
  if #emptied > 0 then
    redis.call('HDEL', KEYS[1], unpack(emptied))
  end
  charges = {}
end

-- Write what was kept, renewed and charged.
local function write_pendings()
  local fields, members = {}, {}
  local function send()
    if #fields > 0 then
      redis.call('HSET', KEYS[1], unpack(fields))
    end
    if #members > 0 then
      redis.call('ZADD', KEYS[2], unpack(members))
    end
    fields, members = {}, {}
  end
  local function keep_until(id, state)
    members[#members + 1] = string.format('%d', now + KEPT_MS[state])
    members[#members + 1] = id
    if #members >= MOST_AT_ONCE then
      send()
    end
  end
  write_charges(fields)
  for id, pending in pairs(changed) do
    fields[#fields + 1] = 'p:' .. id
    fields[#fields + 1] = string.format('%s %s %s %d %d %d %d', pending.state,
      pending.scope, pending.day, pending.tokens, pending.at, pending.drawn_at, pending.drawn)
    keep_until(id, pending.state)
  end
  for id, state in pairs(renewed) do
    if not changed[id] then
      keep_until(id, state)
    end
  end
  send()
  changed, renewed, texts = {}, {}, {}
end

-- Forget so many of those that have been kept for long enough; whether any of them counted.
local function drop(most)
  local ids = redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, most)
  if #ids == 0 then
    return false
  end
  local fields, counted = {}, false
  read_ahead(ids)
  for place, id in ipairs(ids) do
    local pending = read(id)
    if pending then
      charge(pending, -pending.tokens)
      counted = counted or pending.tokens > 0
    end
    fields[place] = 'p:' .. id
  end
  redis.call('HDEL', KEYS[1], unpack(fields))
  redis.call('ZREM', KEYS[2], unpack(ids))
  write_pendings()
  return counted
end

-- Forget some of what has been kept for long enough: more than a call can add. What counted may be
-- on the ledger without our having heard of it: then the tenant is known no longer, until it is read
-- from there, and more goes at once, so that this is done once. Whether it is so.
local function drop_expired()
  if not drop(MOST_DROPPED) then
    return false
  end
  drop(MOST_AT_ONCE)
  redis.call('HDEL', KEYS[1], 'gen')
  return true
end
