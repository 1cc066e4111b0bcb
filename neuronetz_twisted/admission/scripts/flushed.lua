-- The ledger has these calls: their pendings end, its values are the new base (SPEC 7). Done in one
-- step, so that at no moment a call is in neither.
--
-- KEYS  1 bud, 2 pend
-- ARGV  1 gen, 2 how many ids, the ids, then lines of the ledger as of the same transaction or
--       later: scope, `day`, `month` or `total`, first day, tokens
--
-- Returns {OK}, or {UNKNOWN} where the tenant has to be rebuilt first.

if gen ~= ARGV[1] then
  return {UNKNOWN}
end
local last_id = 2 + tonumber(ARGV[2])
local ids = {}
for place = 3, last_id do
  ids[#ids + 1] = ARGV[place]
end
read_ahead(ids)
for _, id in ipairs(ids) do
  local pending = read(id)
  if pending then
    charge(pending, -pending.tokens)
  end
  bury(id)
end
write_pendings()
take_ledger(last_id + 1)

-- A look at a few fields each time: those of days that are long over go.
local KEPT_DAYS, PAGE = 62, 10
local horizon = date(wall_s - KEPT_DAYS * DAY_S)
local cursor = redis.call('HGET', KEYS[1], 'cleaned') or '0'
local page = redis.call('HSCAN', KEYS[1], cursor, 'MATCH', 'base:*', 'COUNT', PAGE)
for place = 1, #page[2], 2 do
  local day = string.match(page[2][place], ':(%d+-%d+-%d+)$')
  if day and day < horizon then
    redis.call('HDEL', KEYS[1], page[2][place])
  end
end
redis.call('HSET', KEYS[1], 'cleaned', page[1])
return {OK}
