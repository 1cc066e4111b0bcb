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
local COLUMNS = 5
local ids, leased = {}, {}
for place = 2, #ARGV, COLUMNS do
  ids[#ids + 1] = ARGV[place]
end
for place = 3, #KEYS do
  leased[place] = {}
end
read_ahead(ids)
for number, id in ipairs(ids) do
  local _, place, tokens, day, runs =
    unpack(ARGV, 2 + (number - 1) * COLUMNS, 1 + number * COLUMNS)
  place, tokens, runs = 3 + tonumber(place), tonumber(tokens), runs == '1'
  local pending = read(id)
  if not pending then
    pending = unbooked(id, runs and OPEN or SETTLED, scope_of(KEYS[place]), day, tokens)
    charge(pending, tokens)
    keep(pending)
  elseif pending.state == OPEN and tokens > pending.tokens then
    -- What is known of a settled call is what it cost; of one that runs, the larger is the later.
    charge(pending, tokens - pending.tokens)
    pending.tokens = tokens
    keep(pending)
  elseif pending.state ~= ENDED then
    renew(pending)
  end
  if runs and pending.state == OPEN then
    leased[3][#leased[3] + 1] = id
    leased[place][#leased[place] + 1] = id
  end
end
for place = 3, #KEYS do
  lease_all(KEYS[place], leased[place])
  tidy(KEYS[place])
end
write_pendings()
return {OK}
