-- A further lease for a running call, from the budgets of the day on which it was admitted. The
-- windows take it as it is: they never cut a call (SPEC 7).
--
-- KEYS  1 bud, 2 pend, 3 win:t, 4 win:k:<key>
-- ARGV  1 id, 2 gen, 3 the tokens wanted for the call in all, so that asking twice takes once,
--       4 to 9 the budgets: day, month and
--       all time of the tenant, then of the key; -1 where none is set
--
-- Returns {OK, tokens that the call has in all}, which may be less; {UNKNOWN} where the tenant has
-- to be rebuilt first; {GONE} where Redis knows of no such running call.

if gen ~= ARGV[2] then
  return {UNKNOWN}
end
local pending = read(ARGV[1])
if not pending or pending.state ~= OPEN then
  return {GONE}
end

local budgets = {}
for place = 4, 9 do
  budgets[#budgets + 1] = tonumber(ARGV[place])
end
local more = tonumber(ARGV[3]) - pending.tokens
more = math.min(more, budget_left(budgets, spent(pending.scope, pending.day)) or more)
if more > 0 then
  pending.drawn = more + (pending.drawn_at == second and pending.drawn or 0)
  pending.drawn_at = second
  pending.tokens = pending.tokens + more
  charge(pending, more)
  book(window(KEYS[3]), 0, more)
  book(window(KEYS[4]), 0, more)
end
keep(pending)
write_pendings()
return {OK, pending.tokens}
