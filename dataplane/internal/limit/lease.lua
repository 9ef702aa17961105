-- A lease on slots: the arithmetic of lease.go, on a hash of one field for each node, "slots:want:expires:seq:old", "born",
-- "last", which is when somebody asked, and "server", which is who wrote it.
-- KEYS: the limit. ARGV: node, cap, ttl in ms, want, in use, held, share, for how many ms to learn, how many peers there are, 1 if strict, seq.
-- Answers granted, 1 if the limit is tight, and 0.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local key, me = KEYS[1], 'n:' .. ARGV[1]
local cap, ttl, want = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local inuse, held, share = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local learn, peers, strict = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10] == '1'
local seq = tonumber(ARGV[11])

local function boot(node)
  local name, number = string.match(node, '^(.*)%.(%d+)$')
  number = tonumber(number)
  if number and number < 9007199254740992 then return name, number end
end
local myname, myboot = boot(me)

local function read(lease)
  local s, w, e, q, o = string.match(lease, '^(%d+):(%d+):(-?%d+):(%d+):([01])$')
  return tonumber(s), tonumber(w), tonumber(e), tonumber(q), o == '1'
end
local function write(node, s, w, e, q, o)
  redis.call('HSET', key, node, string.format('%.0f:%.0f:%.0f:%.0f:%d', s, w, e, q, o and 1 or 0))
end

local before = redis.call('HGET', key, me)
if before then
  local s, _, e, q, o = read(before)
  if q > seq and e > now and not o then return {s, 0, 0} end
end

local server = redis.pcall('INFO', 'server') -- not everybody may ask, and not every server tells
server = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or ''
local born, last = redis.call('HGET', key, 'born'), redis.call('HGET', key, 'last')
born, last = tonumber(born or now), tonumber(last or now)
local other = server ~= (redis.call('HGET', key, 'server') or server)
if other then born = now end
local gap = now - last > 5000
born = math.min(born, now)
if strict and gap then born = now end
redis.call('HSET', key, 'born', string.format('%.0f', born), 'last', string.format('%.0f', now), 'server', server)

local mine, taken, wanted, n, known = 0, 0, 0, 1, 1
local wants = {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'n:' then
    local s, w, e, q, old = read(all[i + 1])
    old = old or other
    local name, number = boot(all[i])
    local set = e > now + ttl or strict and gap and e <= now
    if set then e = now + ttl end
    if set or other then write(all[i], s, w, e, q, old) end
    if name and name == myname and number < myboot then
      redis.call('HDEL', key, all[i])
    else
      if all[i] ~= me and not old then known = known + 1 end
      if e <= now then
        redis.call('HDEL', key, all[i])
      elseif all[i] == me then
        mine = s
      else
        taken, wanted = taken + s, wanted + w
        wants[#wants + 1] = w
        if w > 0 then n = n + 1 end
      end
    end
  end
end

if peers > 0 and known >= peers and born > now - learn then -- all have asked: that does not end when one of them leaves
  born = now - learn
  redis.call('HSET', key, 'born', string.format('%.0f', born))
end
local learning = now - born < learn
if learning then mine = held end
want = math.min(math.max(want, inuse), cap)

local fair = want
local equal = math.floor(cap / n)
if want > equal then
  local left, excess = cap - equal, want - equal
  for _, w in ipairs(wants) do
    left = left - math.min(w, equal)
    excess = excess + math.max(w - equal, 0)
  end
  if left < excess then
    local product = left * (want - equal) + excess - 1
    fair = math.min(math.max(equal + (product - math.fmod(product, excess)) / excess, 1), want)
  end
end

local granted = math.min(math.max(fair, inuse), math.max(cap - taken, 0))
if learning then granted = math.min(granted, math.max(mine, share)) end

local tight = 0
if want == 0 then granted = 0 end
local keep = math.max(granted, inuse, math.min(held, mine))
if keep == 0 and want == 0 and not learning then -- while it learns, the source counts who has said that it holds nothing
  redis.call('HDEL', key, me)
else
  write(me, keep, want, now + ttl, seq, false)
end
if wanted + want > cap then tight = 1 end
redis.call('PEXPIRE', key, string.format('%.0f', ttl + 86400000))
return {granted, tight, 0}
