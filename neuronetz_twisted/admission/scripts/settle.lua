-- Calls have ended: their pendings become what they cost, their slots are free (SPEC 7). The second
-- time changes nothing. The ledger learns of them later; until then the pendings count.
--
-- KEYS  1 bud, 2 pend, 3 win:t, 4 slots:t, then win:k:<key> and slots:k:<key> of each key
-- ARGV  1 gen, then for each call: id, which of the keys is its own (1 for KEYS[5] and KEYS[6]), the
--       tokens that it cost
--
-- Returns for each call OK, or GONE where Redis knows of no such call: before its heartbeat has put
-- it back, or after the ledger has it. {UNKNOWN} where the tenant has to be rebuilt first.

local COLUMNS, PER_KEY = 3, 2
local ids, opened, known = {}, {}, {}
for place = 2, #ARGV, COLUMNS do
  local own = 2 * PER_KEY + PER_KEY * tonumber(ARGV[place + 1])
  ids[#ids + 1] = ARGV[place]
  redis.call('ZREM', KEYS[4], ARGV[place])
  redis.call('ZREM', KEYS[own], ARGV[place])
end
if gen ~= ARGV[1] then
  return {UNKNOWN}
end

local function correct(place, pending, more)
  opened[place] = opened[place] or window(KEYS[place])
  if more > 0 then
    book(opened[place], 0, more)
  else
    give_back(opened[place], pending.drawn_at, 0, math.min(-more, pending.drawn))
  end
end

read_ahead(ids)
for number, id in ipairs(ids) do
  local _, place, cost = unpack(ARGV, 2 + (number - 1) * COLUMNS, 1 + number * COLUMNS)
  local pending = read(id)
  known[number] = pending and pending.state ~= ENDED and OK or GONE
  if pending and pending.state == OPEN then
    local more = tonumber(cost) - pending.tokens
    correct(3, pending, more)
    correct(2 * PER_KEY - 1 + PER_KEY * tonumber(place), pending, more)
    charge(pending, more)
    pending.state, pending.tokens = SETTLED, pending.tokens + more
    keep(pending)
  end
end
write_pendings()
return known
