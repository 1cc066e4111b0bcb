-- A call has ended: its pending becomes what it cost, its slot is free (SPEC 7). The second time
-- changes nothing. The ledger learns of it later; until then the pending counts.
--
-- KEYS  1 bud, 2 pend, 3 win:t, 4 win:k:<key>, 5 slots:t, 6 slots:k:<key>
-- ARGV  1 id, 2 gen, 3 the tokens that it cost
--
-- Returns {OK}; {UNKNOWN} where the tenant has to be rebuilt first; {GONE} where Redis knows of no
-- such call: before its heartbeat has put it back, or after the ledger has it.

local id, cost = ARGV[1], tonumber(ARGV[3])
redis.call('ZREM', KEYS[5], id)
redis.call('ZREM', KEYS[6], id)
if gen ~= ARGV[2] then
  return {UNKNOWN}
end
local pending = read(id)
if not pending or pending.state == ENDED then
  return {GONE}
end

if pending.state == OPEN then
  local more = cost - pending.tokens
  for place = 3, 4 do
    if more > 0 then
      book(window(KEYS[place]), 0, more)
    else
      give_back(window(KEYS[place]), pending.drawn_at, 0, math.min(-more, pending.drawn))
    end
  end
  charge(pending, more)
  pending.state, pending.tokens = SETTLED, cost
  keep(pending)
  write_pendings()
end
return {OK}
