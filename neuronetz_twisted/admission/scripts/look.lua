-- What has a caller left? Nothing is taken (SPEC 7).
--
-- KEYS  1 bud, 2 win:t, 3 win:k:<key>, 4 slots:t, 5 slots:k:<key>
-- ARGV  1 gen, 2 to 13 the limits
--
-- Returns {OK, figures..., then of the tenant and of the key: requests and tokens in the window,
-- running calls, tokens used of day, month and all time}; {UNKNOWN} where the tenant has to be
-- rebuilt first. The figures are those of admit.

if gen ~= ARGV[1] then
  return {UNKNOWN}
end
local limits, used = limits_from(2), spent(scope_of(KEYS[3]), (date(wall_s)))
local windows = {window(KEYS[2]), window(KEYS[3])}
local told = answer({OK}, limits, windows, windows, used)
for level = 1, 2 do
  told[#told + 1] = windows[level].requests
  told[#told + 1] = windows[level].tokens
  told[#told + 1] = running(KEYS[3 + level])
  for kind = 1, BUDGET_KINDS do
    told[#told + 1] = used[kind + (level - 1) * BUDGET_KINDS]
  end
end
return told
