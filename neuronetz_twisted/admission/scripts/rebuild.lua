-- Tell Redis anew what the ledger has of a tenant that it does not know, or knew before a loss
-- (SPEC 7). Done by several gateways at once, it is done once.
--
-- KEYS  1 bud, 2 pend
-- ARGV  1 gen, then the lines of the ledger: scope, `day`, `month` or `total`, first day, tokens
--
-- Returns {OK}.

if gen and gen ~= ARGV[1] then
  -- What was pending in another generation is put back by those who still run it.
  redis.call('UNLINK', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'clock', now, 'offset', offset)
  if epoch then
    redis.call('HSET', KEYS[1], 'epoch', epoch)
  end
end
redis.call('HSET', KEYS[1], 'gen', ARGV[1])
take_ledger(2)
return {OK}
