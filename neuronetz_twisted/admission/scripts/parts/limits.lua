-- The limits that a caller tells, and what his answer says of them (SPEC 7).
--
-- Twelve integers, -1 where nothing is set: requests per minute, tokens per minute, concurrent
-- requests, and the budgets of day, month and all time; first the tenant's, then the key's.

local KINDS = 6

local function limits_from(first)
  local limits = {}
  for place = 1, 2 * KINDS do
    limits[place] = tonumber(ARGV[first + place - 1])
  end
  return limits
end

-- The six budgets among them, in the order of `spent`.
local function budgets_of(limits)
  return {limits[4], limits[5], limits[6], limits[10], limits[11], limits[12]}
end

-- The limit of tenant or key that has less left, and how much; -1, -1 where neither has one.
local function tighter(first, taken_of_first, other, taken_of_other)
  if first < 0 or (other >= 0 and other - taken_of_other < first - taken_of_first) then
    first, taken_of_first = other, taken_of_other
  end
  return first, first < 0 and -1 or math.max(0, first - taken_of_first)
end

-- An answer: `head`, then limit and rest of requests, limit and rest of tokens, kind and rest of
-- the budget with least left, and Redis' time in seconds.
local function answer(head, limits, requests, tokens, used)
  local left, kind = budget_left(budgets_of(limits), used)
  local limit, rest = tighter(limits[1], requests[1].requests, limits[1 + KINDS], requests[2].requests)
  head[#head + 1], head[#head + 2] = limit, rest
  limit, rest = tighter(limits[2], tokens[1].tokens, limits[2 + KINDS], tokens[2].tokens)
  head[#head + 1], head[#head + 2] = limit, rest
  head[#head + 1], head[#head + 2] = kind, math.max(0, left or 0)
  head[#head + 1] = wall_s
  return head
end
