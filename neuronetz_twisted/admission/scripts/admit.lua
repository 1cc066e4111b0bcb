-- May this call run? One indivisible step: all that it takes, from tenant and key, or nothing
-- (SPEC 5, 7). The same call again, while it runs, has the same answer and takes nothing twice.
--
-- KEYS  1 bud, 2 pend, 3 win:t, 4 win:k:<key>, 5 slots:t, 6 slots:k:<key>
-- ARGV  1 id, 2 gen, 3 epoch of the caller's principal, 4 the tokens that the prompt may have,
--       5 those of the first lease (0 where nothing is generated), 6 to 17 the limits
--
-- Returns {OK, tokens of the lease, the day that is charged as 20261123, figures...}; {RPM, TPM,
-- SLOTS, DAY, MONTH or TOTAL, 0 for the tenant's or 1 for the key's, seconds after which to ask
-- again, figures...}; {STALE, epoch}; {UNKNOWN} where the tenant has to be rebuilt first;
-- {REFUSED} where the id was released or has ended.

local id, prompt, first_lease = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])

local refused = objection(ARGV[2], ARGV[3])
if refused then
  return refused
end
if drop_expired() then
  return {UNKNOWN}
end
local held = read(id)
if held and held.state ~= OPEN then
  return {REFUSED}
end

local limits, scope = limits_from(6), scope_of(KEYS[4])
local budgets, today, day_of_month = budgets_of(limits), date(wall_s)
local windows = {window(KEYS[3]), window(KEYS[4])}
local used = spent(scope, today)

local function granted(pending)
  local day = tonumber((string.gsub(pending.day, '-', '')))
  return answer({OK, pending.tokens - prompt, day}, limits, windows, windows, used)
end

if held then
  return granted(held)
end

local least = prompt + math.min(first_lease, 1)

local function seconds_to_end_of(code)
  local midnight = wall_s - wall_s % DAY_S
  if code ~= MONTH then
    return midnight + DAY_S - wall_s
  end
  -- 31 days after its first, the next month has begun.
  local next_month = midnight + (32 - day_of_month) * DAY_S
  local _, passed = date(next_month)
  return next_month - (passed - 1) * DAY_S - wall_s
end

-- The budget that lasts longest first: nobody comes back in vain for one that ends earlier.
for kind = BUDGET_KINDS, 1, -1 do
  for level = 0, 1 do
    local place = kind + level * BUDGET_KINDS
    local code = DAY - 1 + kind
    if budgets[place] >= 0 and budgets[place] - used[place] < math.max(least, 1) then
      return answer({code, level, seconds_to_end_of(code)}, limits, windows, windows, used)
    end
  end
end

local taken = prompt + first_lease
for level = 0, 1 do
  -- A first lease is no larger than what a whole minute has.
  local tpm = limits[2 + level * KINDS]
  if tpm >= 0 then
    taken = math.min(taken, math.max(tpm, least))
  end
end
taken = math.min(taken, budget_left(budgets, used) or taken)

local why, whose, wait = nil, 0, 0
local function refuse(code, level, seconds)
  if seconds > wait then
    why, whose, wait = code, level, seconds
  end
end

local leases = {}
for level = 0, 1 do
  local shift, booked = level * KINDS, windows[level + 1]
  local rpm, tpm, slots = limits[1 + shift], limits[2 + shift], limits[3 + shift]
  if rpm >= 0 and booked.requests >= rpm then
    refuse(RPM, level, seconds_until(booked, 1, rpm - 1))
  end
  if tpm >= 0 and booked.tokens + taken > tpm then
    refuse(TPM, level, seconds_until(booked, 2, tpm - taken))
  end
  leases[level + 1] = redis.call('ZCARD', KEYS[5 + level])
  if is_full(KEYS[5 + level], leases[level + 1], slots) then
    refuse(SLOTS, level, seconds_to_end(KEYS[5 + level]))
  end
end
if why then
  return answer({why, whose, wait}, limits, windows, windows, used)
end

local pending = unbooked(id, OPEN, scope, today, taken)
pending.at, pending.drawn_at, pending.drawn = second, second, taken
charge(pending, taken)
keep(pending)
write_pendings()
for level = 1, 2 do
  local slots = KEYS[4 + level]
  lease(slots, id)
  if windows[level].fresh then
    tidy(slots)
  end
  book(windows[level], 1, taken)
end
for place in ipairs(used) do
  used[place] = used[place] + taken
end
return granted(pending)
