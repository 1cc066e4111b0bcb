-- Slots: leases of calls that run now, which their gateway renews (SPEC 7).
--
-- A sorted set: id -> the millisecond at which its lease ends.

local SLOT_MS = 30000
local SLOTS_MS = 120000
local MOST_ENDED = 20

-- How many leases run.
local function running(key)
  return redis.call('ZCOUNT', key, now + 1, '+inf')
end

-- Whether no more than `most` may run and as many do; `kept` is how many leases are there, ended
-- ones too: to count those that run costs more.
local function is_full(key, kept, most)
  return most >= 0 and kept >= most and running(key) >= most
end

local function lease(key, id)
  redis.call('ZADD', key, now + SLOT_MS, id)
  redis.call('PEXPIRE', key, SLOTS_MS)
end

-- Leases of many calls.
local function lease_all(key, ids)
  local ends = string.format('%d', now + SLOT_MS)
  for first = 1, #ids, MOST_AT_ONCE do
    local members = {}
    for place = first, math.min(first + MOST_AT_ONCE - 1, #ids) do
      members[#members + 1] = ends
      members[#members + 1] = ids[place]
    end
    redis.call('ZADD', key, unpack(members))
    redis.call('PEXPIRE', key, SLOTS_MS)
  end
end

-- What is due once a second: some of those that have ended go.
local function tidy(key)
  local ended = redis.call('ZCOUNT', key, '-inf', now)
  if ended > 0 then
    redis.call('ZREMRANGEBYRANK', key, 0, math.min(ended, MOST_ENDED) - 1)
  end
end

-- The seconds until the first of the running leases ends, unless it is renewed.
local function seconds_to_end(key)
  local first = redis.call('ZRANGE', key, now + 1, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
  return first[2] and math.ceil((first[2] - now) / 1000) or 1
end
