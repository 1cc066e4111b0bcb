-- An admission that nobody uses: its answer was lost or late, or the call could not begin. All
-- that it took is given back, and should it arrive only now, it finds a tombstone (SPEC 7).
--
-- KEYS  1 bud, 2 pend, 3 win:t, 4 win:k:<key>, 5 slots:t, 6 slots:k:<key>
-- ARGV  1 id
--
-- Returns {OK}; {GONE} where the call has been settled.

local id = ARGV[1]
local pending = read(id)
if pending and pending.state == SETTLED then
  return {GONE}
end
redis.call('ZREM', KEYS[5], id)
redis.call('ZREM', KEYS[6], id)
if pending and pending.state == OPEN then
  for place = 3, 4 do
    give_back(window(KEYS[place]), pending.at, 1, 0)
    give_back(window(KEYS[place]), pending.drawn_at, 0, pending.drawn)
  end
  charge(pending, -pending.tokens)
end
bury(id)
write_pendings()
return {OK}
