-- Windows: the requests and tokens of the current second and of the 60 before it, so that no span
-- of 60 s has more than a limit (SPEC 7).
--
-- A window is a hash: `at` is its last second, `requests` and `tokens` the totals, and the field
-- `<second % 61>` has both of one second, "<requests> <tokens>", where there were any.

local SPAN_S = 61
local WINDOW_MS = 120000

local function pair(text)
  local requests, tokens = string.match(text or '0 0', '^(%d+) (%d+)$')
  return tonumber(requests), tonumber(tokens)
end

-- What is booked in one second of the window.
local function booked(window, at)
  return pair(at == second and window.newest or redis.call('HGET', window.key, at % SPAN_S))
end

local function write(window, at, requests, tokens)
  local text = string.format('%d %d', requests, tokens)
  redis.call('HSET', window.key, 'at', second, 'requests', window.requests,
    'tokens', window.tokens, at % SPAN_S, text)
  if at == second then
    window.newest = text
  end
  if window.fresh then
    redis.call('PEXPIRE', window.key, WINDOW_MS)
    window.fresh = false
  end
end

-- Read a window as of this second; what is older leaves it. It is fresh where nothing has been
-- booked in this second: that another script has looked at it since makes no difference, else the
-- booking would not be kept for its whole minute.
local function window(key)
  local kept = redis.call('HMGET', key, 'at', 'requests', 'tokens', second % SPAN_S)
  local at = tonumber(kept[1])
  local found = {key = key, requests = 0, tokens = 0, newest = '0 0', fresh = true}
  if not at then
    return found
  end
  if second - at >= SPAN_S then
    redis.call('DEL', key)
    return found
  end
  found.requests, found.tokens = tonumber(kept[2]), tonumber(kept[3])
  if second == at then
    found.newest, found.fresh = kept[4], not kept[4]
  else
    local places = {}
    for passed = at + 1, second do
      places[#places + 1] = passed % SPAN_S
    end
    for _, text in ipairs(redis.call('HMGET', key, unpack(places))) do
      local requests, tokens = pair(text)
      found.requests, found.tokens = found.requests - requests, found.tokens - tokens
    end
    redis.call('HDEL', key, unpack(places))
    redis.call('HSET', key, 'at', second, 'requests', found.requests, 'tokens', found.tokens)
  end
  return found
end

-- Book in this second.
local function book(window, requests, tokens)
  local booked_requests, booked_tokens = booked(window, second)
  window.requests, window.tokens = window.requests + requests, window.tokens + tokens
  write(window, second, booked_requests + requests, booked_tokens + tokens)
end

-- Give back what was booked in an earlier second. It leaves that second and not this one: else the
-- window would have too little as soon as that second is out of it.
local function give_back(window, at, requests, tokens)
  if second - at >= SPAN_S then
    return
  end
  local booked_requests, booked_tokens = booked(window, at)
  requests, tokens = math.min(requests, booked_requests), math.min(tokens, booked_tokens)
  if requests == 0 and tokens == 0 then
    return
  end
  window.requests, window.tokens = window.requests - requests, window.tokens - tokens
  write(window, at, booked_requests - requests, booked_tokens - tokens)
end

-- The seconds until no more than `most` of what is in the window now is left in it; `which` is 1
-- for requests, 2 for tokens.
local function seconds_until(window, which, most)
  local kept, fields = {}, redis.call('HGETALL', window.key)
  for place = 1, #fields, 2 do
    kept[tonumber(fields[place]) or 0.5] = fields[place + 1]
  end
  local left = which == 1 and window.requests or window.tokens
  for at = second - SPAN_S + 1, second do
    local text = kept[at % SPAN_S]
    if text then
      left = left - select(which, pair(text))
      if left <= most then
        return at + SPAN_S - second
      end
    end
  end
  return SPAN_S
end
