-- Tell of a tenant's epoch: the largest one ever told stays (SPEC 5).
--
-- KEYS[1]  nz:{tenant}:bud, a hash; its field `epoch` is the largest that any gateway has told
-- ARGV[1]  an epoch that was read from the database
--
-- Returns {epoch}, the largest one.

local known = redis.call('HGET', KEYS[1], 'epoch')
if known and tonumber(known) >= tonumber(ARGV[1]) then
  return {tonumber(known)}
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return {tonumber(ARGV[1])}
