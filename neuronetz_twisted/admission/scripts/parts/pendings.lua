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
local MOST_AT_ONCE = 1000

-- What a script changes, by id and by term, until it writes all of it.
local changed, charges = {}, {}

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

local function read(id)
  if changed[id] then
    return changed[id]
  end
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
  changed[pending.id] = pending
end

local function bury(id)
  keep(unbooked(id, ENDED, '-', '-', 0))
end

local function write_charges(fields)
  local unread, emptied = {}, {}
  for term in pairs(charges) do
    if not sums[term] then
      unread[#unread + 1] = term
    end
  end
  for _, term in ipairs(unread) do
    sums[term] = tonumber(redis.call('HGET', KEYS[1], 'sum:' .. term)) or 0
  end
  for term, tokens in pairs(charges) do
    sums[term] = sums[term] + tokens
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

-- Write what was kept and charged. Lua takes some thousands of values in one call.
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
  write_charges(fields)
  for id, pending in pairs(changed) do
    fields[#fields + 1] = 'p:' .. id
    fields[#fields + 1] = string.format('%s %s %s %.0f %.0f %.0f %.0f', pending.state,
      pending.scope, pending.day, pending.tokens, pending.at, pending.drawn_at, pending.drawn)
    members[#members + 1] = now + KEPT_MS[pending.state]
    members[#members + 1] = id
    if #fields >= MOST_AT_ONCE then
      send()
    end
  end
  send()
  changed = {}
end

-- Forget some of what has been kept for long enough: more than a call can add.
local function drop_expired()
  local ids = redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, MOST_DROPPED)
  if #ids == 0 then
    return
  end
  local fields = {}
  for place, id in ipairs(ids) do
    local pending = read(id)
    if pending then
      charge(pending, -pending.tokens)
    end
    fields[place] = 'p:' .. id
  end
  redis.call('HDEL', KEYS[1], unpack(fields))
  redis.call('ZREM', KEYS[2], unpack(ids))
  write_pendings()
end
