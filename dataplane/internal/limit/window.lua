-- Units of a limit per minute: the arithmetic of window.go, on a hash of one field for each second, the units drawn in it, "born" and "server", which
-- is who wrote it: another one may be some writes behind, and begins anew.
-- KEYS: the limit. ARGV: limit, want, owe, back, and what was drawn of a source that has forgotten it: in this second, the one before, and so on.
-- Answers granted, how many ms to wait when that is less than was wanted, what nobody has drawn yet, and born.
local t = redis.call('TIME')
local now = tonumber(t[1])
local ms = now * 1000 + math.floor(tonumber(t[2]) / 1000)
local key = KEYS[1]
local limit, want, owe, back = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local server = redis.pcall('INFO', 'server') -- not everybody may ask, and not every server tells
server = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or ''
if server ~= redis.call('HGET', key, 'server') then
  redis.call('DEL', key)
  redis.call('HSET', key, 'server', server, 'born', string.format('%.0f', ms))
end
for i = 5, #ARGV do
  if ARGV[i] ~= '0' then redis.call('HINCRBY', key, string.format('%.0f', now - i + 5), ARGV[i]) end
end

local born = 0
local cells, seconds = {}, {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if all[i] == 'born' then
    born = tonumber(all[i + 1])
  elseif all[i] ~= 'server' then
    local second, units = tonumber(all[i]), tonumber(all[i + 1])
    if second > now then -- the clock was set back
      redis.call('HDEL', key, all[i])
      second = now
      redis.call('HINCRBY', key, string.format('%.0f', now), all[i + 1])
    end
    if not cells[second] then seconds[#seconds + 1] = second end
    cells[second] = (cells[second] or 0) + units
  end
end
table.sort(seconds)

local oldest, used = now, 0
for _, second in ipairs(seconds) do
  local field = string.format('%.0f', second)
  if second < now - 60 then
    redis.call('HDEL', key, field)
  else
    local units = cells[second]
    local returned = math.min(units, back)
    units, back = units - returned, back - returned
    if units == 0 then
      redis.call('HDEL', key, field)
    else
      if returned > 0 then redis.call('HSET', key, field, string.format('%.0f', units)) end
      oldest, used = math.min(oldest, second), used + units
    end
  end
end

local granted = math.min(want, math.max(limit - used - owe, 0))
local drawn = granted + owe
if drawn > 0 then redis.call('HINCRBY', key, string.format('%.0f', now), string.format('%.0f', drawn)) end
redis.call('PEXPIRE', key, '130000')
local wait = 0
if granted < want then wait = (oldest + 61) * 1000 - ms end
return {granted, wait, math.max(limit - used - owe - granted, 0), born}
