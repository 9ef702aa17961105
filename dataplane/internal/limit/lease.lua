-- A lease on slots: the arithmetic of lease.go, on a hash of one field for each node, "n:NAME" = "slots:want:expires:seq:old:joined:heard:since",
-- beside the fields of the limit. Later versions may write more behind a lease's last number; what stands there keeps its meaning.
-- KEYS: the limit. ARGV: node, cap, ttl and lease in ms, want, in use, held, share, learn in ms, how many nodes there are, 1 if strict,
-- 1 if gone, seq, memory, roster, 1 if it knows its peers of another memory, and their names.
-- Answers granted, 1 if the limit is tight, 0, memory, roster, and the names on it if the node has not heard it.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local key, me = KEYS[1], ARGV[1]
local number = {}
for i = 2, 13 do number[i] = tonumber(ARGV[i]) end
local cap, ttl, lasts, want, inuse, held = number[2], number[3], number[4], number[5], number[6], number[7]
local share, learn, nodes, strict, gone, seq = number[8], number[9], number[10], number[11] == 1, number[12] == 1, number[13]
local memory, heard, knows = ARGV[14], tonumber(ARGV[15]), ARGV[16] == '1'

local function boot(node)
  local name, n = string.match(node, '^(.*)%.(%d+)$')
  n = tonumber(n)
  if n and n < 9007199254740992 then return name, n end
end
local function followed(earlier, later)
  local name, n = boot(earlier)
  local other, m = boot(later)
  return n and m and name == other and n < m
end

local s = {memory = '', server = '', born = 0, last = 0, told = 0, complete = 0, claimed = 0, roster = 0}
local leases, changed = {}, {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  local f, v = all[i], all[i + 1]
  if string.sub(f, 1, 2) == 'n:' then
    local a, b, c, d, e, g, h, k = string.match(v, '^(%d+):(%d+):(-?%d+):(%d+):([01]):(%d+):(%d+):(-?%d+)')
    leases[string.sub(f, 3)] = {slots = tonumber(a), want = tonumber(b), expires = tonumber(c), seq = tonumber(d), old = e == '1',
      joined = tonumber(g), heard = tonumber(h), since = tonumber(k)}
  elseif f == 'memory' or f == 'server' then
    s[f] = v
  elseif s[f] then
    s[f] = tonumber(v)
  end
end
local function drop(node)
  leases[node] = nil
  redis.call('HDEL', key, 'n:' .. node)
  s.roster = s.roster + 1
end

-- Whose memory it is.
local server = redis.pcall('INFO', 'server') -- not everybody may ask, and not every server tells
server = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or ''
if s.memory == '' or s.server ~= server then
  if s.memory == '' then s.last = now end
  s.memory, s.server, s.born, s.told, s.complete, s.claimed = me .. '#' .. ARGV[13], server, now, 0, 0, 0
  for node, l in pairs(leases) do
    l.old, l.heard, changed[node] = true, 0, true
  end
end

local function save()
  local fields = {'memory', s.memory, 'server', s.server}
  for _, f in ipairs({'born', 'last', 'told', 'complete', 'claimed', 'roster'}) do
    fields[#fields + 1] = f
    fields[#fields + 1] = string.format('%.0f', s[f])
  end
  for node in pairs(changed) do
    local l = leases[node]
    if l then
      fields[#fields + 1] = 'n:' .. node
      fields[#fields + 1] = string.format('%.0f:%.0f:%.0f:%.0f:%d:%.0f:%.0f:%.0f', l.slots, l.want, l.expires, l.seq, l.old and 1 or 0, l.joined, l.heard, l.since)
    end
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIRE', key, string.format('%.0f', ttl + 86400000))
end
local function answer(granted, tight)
  save()
  local list = {granted, tight and 1 or 0, 0, s.memory, 0}
  if s.told == 0 and s.complete == 0 then return list end
  list[5] = s.roster
  if memory == s.memory and heard == s.roster then return list end
  local names = {}
  for node in pairs(leases) do
    if node ~= me then names[#names + 1] = node end
  end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = name end
  return list
end

-- Who was overtaken says nothing.
local before = leases[me]
local late = before and before.seq > seq and before.expires > now and not before.old
for node in pairs(leases) do late = late or followed(me, node) end
if late then return answer(before and before.slots or 0, false) end

-- The clock may have been set, and leases may have run out.
local gap = strict and now - s.last > 5000
s.born, s.last = math.min(s.born, now), now
if gap then s.born = now end
for node, l in pairs(leases) do
  if gap or l.expires > now + ttl then
    l.expires, changed[node] = now + ttl, true
  end
end
local over = {}
for node, l in pairs(leases) do
  if l.expires <= now or followed(node, me) then over[#over + 1] = node end
end
for _, node in ipairs(over) do drop(node) end

local mine = leases[me]
local first = not mine or mine.old
if not mine then
  s.roster = s.roster + 1
  mine = {slots = 0, joined = s.roster, heard = 0, since = 0}
end

-- What it says to a memory that is not complete.
local spoke = s.complete == 1 or memory == s.memory or not first
if spoke and s.complete == 0 then
  if first then s.claimed = s.claimed + math.max(held, inuse) end
  if knows and memory == s.memory then
    s.told = 1
    for i = 17, #ARGV do
      local peer = ARGV[i]
      local known = leases[peer] or peer == me or followed(peer, me)
      for node in pairs(leases) do known = known or followed(peer, node) end
      if not known then
        s.roster = s.roster + 1
        leases[peer] = {slots = 0, want = 0, expires = now + ttl, seq = 0, old = true, joined = s.roster, heard = 0, since = 0}
        changed[peer] = true
      end
    end
  end
end
local silent, spoken, n = 0, 0, 1
for node, l in pairs(leases) do
  if node ~= me then
    if l.old then silent = silent + 1 else spoken = spoken + 1 end
    if l.want > 0 then n = n + 1 end
  end
end
if spoke and silent == 0 and (s.told == 1 or nodes > 0 and spoken + 1 >= nodes) or now - s.born >= learn then s.complete = 1 end

-- What the others leave.
want = math.min(math.max(want, inuse), cap)
local equal = math.floor(cap / n)
local taken, claims, reserved, wanted, left, excess, unaware = 0, 0, 0, 0, cap - equal, want - equal, false
local since = now
if mine.since > 0 then since = math.min(mine.since, now) end
for node, l in pairs(leases) do
  if node ~= me then
    taken, wanted, reserved = taken + l.slots, wanted + l.want, reserved + l.slots
    if not l.old then claims = claims + l.slots end
    left = left - math.min(l.want, equal)
    excess = excess + math.max(l.want - equal, 0)
    local asked = l.expires - ttl
    unaware = unaware or l.joined < mine.joined and l.heard < mine.joined and now - asked < lasts
    if now - asked < 1000 and (held + inuse > 0 or l.slots == 0 and l.since < since) then
      reserved = reserved + math.max(math.min(l.want, math.max(equal, 1)) - l.slots, 0)
    end
  end
end
unaware = unaware and strict
local fair = want
if want > equal and left < excess then
  local product = left * (want - equal) + excess - 1
  fair = math.min(math.max(equal + (product - math.fmod(product, excess)) / excess, 1), want)
end
local granted = math.min(fair, math.max(cap - taken, 0), math.max(cap - reserved, math.min(math.max(held, inuse), math.max(equal, 1))))
if s.complete == 0 then granted = math.min(granted, math.max(spoke and s.claimed - claims or 0, held, share)) end
if unaware then granted = math.min(granted, held) end

local keep = math.max(granted, inuse, held)
if not spoke then keep = math.max(keep, mine.slots) end
if gone and keep == 0 then
  drop(me)
else
  leases[me] = {slots = keep, want = want, expires = now + ttl, seq = seq, old = not spoke, joined = mine.joined,
    heard = memory == s.memory and heard or mine.heard, since = granted == 0 and want > 0 and since or 0}
  changed[me] = true
end
return answer(granted, unaware or wanted + want > cap)
