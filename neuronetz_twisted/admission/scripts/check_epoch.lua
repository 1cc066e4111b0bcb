-- May this request run? One indivisible step, all or nothing (SPEC 5, 7).
--
-- KEYS[1]  nz:{tenant}:bud, a hash; its field `epoch` is the largest that any gateway has told
-- ARGV[1]  the tenant's epoch in the snapshot that the caller's principal was made from
--
-- Returns {1} for "admitted", {0, epoch} for "the tenant has changed since that snapshot".

local STALE, ADMITTED = 0, 1

local known = redis.call('HGET', KEYS[1], 'epoch')
if known and tonumber(known) > tonumber(ARGV[1]) then
  return {STALE, tonumber(known)}
end
if known ~= ARGV[1] then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
end
return {ADMITTED}
