-- A budget of a period: the arithmetic of budget.go, on a hash of one field for each node, what it has spent or may.
-- KEYS: the limit and its period. ARGV: node, limit, spent, want, known to be spent by all, how long to remember in ms. Answers granted, 0, and what nobody has taken.
local key, me = KEYS[1], ARGV[1]
local limit, spent, want = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local known = tonumber(ARGV[5])
local others = 0
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if all[i] ~= me then others = others + tonumber(all[i + 1]) end
end
others = math.max(others, known - spent)
local granted = math.max(math.min(spent + want, limit - others), 0)
redis.call('HSET', key, me, string.format('%.0f', math.max(spent, granted)))
redis.call('PEXPIRE', key, ARGV[6])
return {granted, 0, math.max(limit - others - math.max(spent, granted), 0)}
