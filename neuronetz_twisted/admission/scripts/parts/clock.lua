-- What time it is, and what is known of the tenant: in front of every script of limits (SPEC 7).
--
-- KEYS[1]  nz:{tenant}:bud, a hash. Here: `gen`, the generation of what Redis knows; `epoch`, the
--          largest that any gateway has told; `clock` and `offset`, in milliseconds
--
-- `now` (ms) and `second` are Redis' own time, made to go on where Redis' clock steps back, so that
-- windows and leases neither freeze nor end early. It is noted once a second: so no second ever comes
-- again, and a lease may last a second longer. Dates are those of the clock as it stands:
-- a year that was wrong for a moment must not stay.

-- As in admission/answers.py.
local OK, STALE, UNKNOWN, REFUSED, GONE = 1, 2, 3, 4, 30
local RPM, TPM, SLOTS, DAY, MONTH, TOTAL = 10, 11, 12, 20, 21, 22
local DAY_S = 86400
-- So many values go in one command: Lua passes no more than some thousands.
local MOST_AT_ONCE = 1000

local time = redis.call('TIME')
local wall_s = tonumber(time[1])
local gen, epoch, clock, offset =
  unpack(redis.call('HMGET', KEYS[1], 'gen', 'epoch', 'clock', 'offset'))
clock, offset = tonumber(clock) or 0, tonumber(offset) or 0
local now = wall_s * 1000 + math.floor(time[2] / 1000) + offset
if now < clock then
  offset = offset + clock - now
  now = clock
  redis.call('HSET', KEYS[1], 'offset', offset)
end
local second = math.floor(now / 1000)
if second > math.floor(clock / 1000) then
  redis.call('HSET', KEYS[1], 'clock', now)
end

-- The date of a second since 1970, UTC, as text and as its day of the month (Howard Hinnant's
-- civil_from_days).
local function date(seconds)
  local days = math.floor(seconds / DAY_S) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor(
    (day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  day = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day + 2) / 153)
  day = day - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day), day
end

-- The answer to a caller who knows another generation, or an older epoch; nil where all is well.
local function objection(callers_gen, callers_epoch)
  if gen ~= callers_gen then
    return {UNKNOWN}
  end
  if epoch and tonumber(epoch) > tonumber(callers_epoch) then
    return {STALE, tonumber(epoch)}
  end
  if epoch ~= callers_epoch then
    redis.call('HSET', KEYS[1], 'epoch', callers_epoch)
  end
end
