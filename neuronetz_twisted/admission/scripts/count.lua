-- May this caller read a list, a model's details or a page of his own? They have a window of their
-- own and take nothing else (SPEC 7).
--
-- KEYS  1 bud, 2 list:t, 3 list:k:<key>, 4 win:t, 5 win:k:<key>
-- ARGV  1 gen, 2 epoch of the caller's principal, 3 to 14 the limits, with those of lists as
--       requests per minute
--
-- Returns {OK, figures...}; {RPM, 0 for the tenant's or 1 for the key's, seconds after which to ask
-- again, figures...}; {STALE, epoch}; {UNKNOWN} where the tenant has to be rebuilt first. The
-- figures are those of admit, with the requests of the window of lists.

local refused = objection(ARGV[1], ARGV[2])
if refused then
  return refused
end
local limits, used = limits_from(3), spent(scope_of(KEYS[3]), (date(wall_s)))
local lists, windows = {window(KEYS[2]), window(KEYS[3])}, {window(KEYS[4]), window(KEYS[5])}

local whose, wait = 0, 0
for level = 0, 1 do
  local rpm, list = limits[1 + level * KINDS], lists[level + 1]
  if rpm >= 0 and list.requests >= rpm then
    local seconds = seconds_until(list, 1, rpm - 1)
    if seconds > wait then
      whose, wait = level, seconds
    end
  end
end
if wait > 0 then
  return answer({RPM, whose, wait}, limits, lists, windows, used)
end
book(lists[1], 1, 0)
book(lists[2], 1, 0)
return answer({OK}, limits, lists, windows, used)
