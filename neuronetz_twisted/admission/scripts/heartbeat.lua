-- One gateway's calls of a tenant are alive: their slots and pendings are kept, and put back where
-- Redis has lost them, slots above the limit too (SPEC 7).
--
-- KEYS  1 bud, 2 pend, 3 slots:t, 4... slots:k:<key> of each key
-- ARGV  1 gen, then for each call: id, which of the keys' slots are its key's (1 for KEYS[4]), the
--       tokens that it may cost by now or has cost, the day of its admission, and 1 while it runs,
--       0 where it has ended and the ledger does not have it yet
--
-- Returns {OK}, or {UNKNOWN} where the tenant has to be rebuilt first.

if gen ~= ARGV[1] then
  return {UNKNOWN}
end
for place = 2, #ARGV, 5 do
  local id, number, tokens, day, runs = unpack(ARGV, place, place + 4)
  local slots = KEYS[3 + tonumber(number)]
  tokens, runs = tonumber(tokens), runs == '1'
  local known = read(id)
  local pending = known or unbooked(id, runs and OPEN or SETTLED, scope_of(slots), day, 0)
  if pending.state ~= ENDED then
    -- What is known of a settled call is what it cost; of one that runs, the larger is the later.
    if not known or known.state == OPEN then
      charge(pending, math.max(0, tokens - pending.tokens))
      pending.tokens = math.max(pending.tokens, tokens)
    end
    keep(pending)
    if runs and pending.state == OPEN then
      lease(KEYS[3], id)
      lease(slots, id)
    end
  end
end
for place = 3, #KEYS do
  tidy(KEYS[place])
end
write_pendings()
return {OK}
