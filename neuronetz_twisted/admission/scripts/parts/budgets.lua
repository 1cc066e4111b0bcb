-- What counts for budgets: the ledger's values, and the sums of what is pending (SPEC 7).
--
-- KEYS[1]  nz:{tenant}:bud; here its fields `base:<term>` and `sum:<term>`, where a term is
--          `<scope>:day:<day>`, `<scope>:month:<first day>` or `<scope>:total`, and a scope `t`, the
--          tenant, or `k:<key id>`

local BUDGET_KINDS = 3

-- The scope of a key of Redis that belongs to a caller's key: its name ends with it.
local function scope_of(name)
  return string.match(name, ':(k:[^:]+)$')
end

-- The terms that a call of this day counts for, of one scope.
local made = {}
local function terms(scope, day)
  local name = scope .. day
  if not made[name] then
    made[name] = {
      scope .. ':day:' .. day, scope .. ':month:' .. string.sub(day, 1, 8) .. '01', scope .. ':total',
    }
  end
  return made[name]
end

-- The sums of pendings that have been read.
local sums = {}

-- What counts for the six budgets, in the order in which they are told: ledger and pendings.
local function spent(scope, day)
  local counted, fields = {}, {}
  for _, whose in ipairs({'t', scope}) do
    for _, term in ipairs(terms(whose, day)) do
      counted[#counted + 1] = term
      fields[#fields + 1] = 'base:' .. term
      fields[#fields + 1] = 'sum:' .. term
    end
  end
  local kept, all = redis.call('HMGET', KEYS[1], unpack(fields)), {}
  for place, term in ipairs(counted) do
    sums[term] = tonumber(kept[2 * place]) or 0
    all[place] = (tonumber(kept[2 * place - 1]) or 0) + sums[term]
  end
  return all
end

-- The least that any of six budgets has left, and its kind: 1 day, 2 month, 3 all time; nil and 0
-- where none is set.
local function budget_left(budgets, used)
  local least, kind = nil, 0
  for place, budget in ipairs(budgets) do
    if budget >= 0 and (not least or budget - used[place] < least) then
      least, kind = budget - used[place], (place - 1) % BUDGET_KINDS + 1
    end
  end
  return least, kind
end

-- Take the ledger's values, from ARGV[first] on: scope, period, first day, tokens, and so on. They
-- only grow, so of two the larger is the later.
local function take_ledger(first)
  for place = first, #ARGV, 4 do
    local scope, period, day, tokens = unpack(ARGV, place, place + 3)
    local term = period == 'total' and ':total' or ':' .. period .. ':' .. day
    local field = 'base:' .. scope .. term
    if tonumber(tokens) > (tonumber(redis.call('HGET', KEYS[1], field)) or 0) then
      redis.call('HSET', KEYS[1], field, tokens)
    end
  end
end
