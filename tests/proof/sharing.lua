--- Several processes that share a store and its keys (taker.lua) against one mock, and what
--- the mock has counted of them.
local keycycle = require "keycycle"
local proc = require "tests.support.proc"
local processes = require "tests.support.processes"
local shop = require "tests.proof.shop"

local sharing = {}

local LONG = 60 -- seconds that a process may take beyond its time

-- What reached the mock since the last time: its journal keeps the last thousand requests.
local function read_journal(mock, seen)
  local answer = keycycle.http.request { url = mock.root .. "/journal" }
  local journal = keycycle.json.decode(answer.body)
  local count = 0
  for _, key in ipairs(journal.keys) do count = count + key.requests end
  local list = journal.requests
  assert(count - #seen <= #list, "the mock's journal was too short")
  for i = #list - (count - #seen) + 1, #list do
    local r = list[i]
    seen[#seen + 1] = { key = r.key, status = r.status, at = r.at, by = r.headers["user-agent"] }
  end
end

-- The most requests of a key in any `window` seconds that end after `from`.
local function most_of(seen, key, window, from, served)
  local times, most, first = {}, 0, 1
  for _, request in ipairs(seen) do
    if request.key == key and (not served or request.status == 200) then
      times[#times + 1] = request.at
      while times[first] <= request.at - window do first = first + 1 end
      if request.at >= from then most = math.max(most, #times - first + 1) end
    end
  end
  return most
end

-- How late processes must have seen each other, by `key`'s requests over `limit`: where there
-- were n too many in the `window` seconds up to one, its maker had not seen n of the others';
-- the greatest age of the n-th youngest of these (math.huge: there were not so many).
local function lag_of(seen, key, window, limit)
  local list, lag, first = {}, 0, 1
  for _, request in ipairs(seen) do
    if request.key == key then
      list[#list + 1] = request
      while list[first].at <= request.at - window do first = first + 1 end
      local excess, age = #list - first + 1 - limit, 0
      for i = #list - 1, first, -1 do
        if excess <= 0 then break end
        if list[i].by ~= request.by then excess, age = excess - 1, request.at - list[i].at end
      end
      if excess > 0 then age = math.huge end
      lag = math.max(lag, age)
    end
  end
  return lag
end

local function each_says(takers, pattern, seconds, mock, seen)
  local said, moment = {}, proc.mono() + seconds
  for i, taker in ipairs(takers) do
    while not said[i] do
      local lives = taker:listen(math.min(moment, proc.mono() + 1), function(line)
        said[i] = table.pack(line:match(pattern))
        if not said[i][1] then error("a process says: " .. line) end
        return true
      end)
      if not said[i] and (not lives or proc.mono() >= moment) then
        error(("process %d said nothing of %q"):format(i, pattern))
      end
      if mock then read_journal(mock, seen) end
    end
  end
  return said
end

local function tell_all(takers, text)
  for _, taker in ipairs(takers) do taker:tell(text) end
end

-- Whatever happens, none of them goes on.
local all_mt = { __close = function(takers)
  for _, taker in ipairs(takers) do taker:close() end
end }

--- opts: processes, seconds, limit (requests a minute and key), tasks (of each process),
--- latency (milliseconds of the mock), headers (it tells limits). Returns { requests,
--- served, refused, failed, most (requests of a key in a minute), later (the same, of
--- minutes that end in the second or later), use (served, as a part of what could be), sees
--- (list: how many requests each saw at the end), seconds (until the last one did), lag
--- (seconds: how old a request was at most that another must have missed), cpu (seconds of
--- all) }.
function sharing.run(url, opts)
  local words = { "--keys", table.concat(shop.KEYS, ","), "--rpm", tostring(opts.limit),
    "--latency", tostring(opts.latency), "--journal-bodies" }
  if not opts.headers then words[#words + 1] = "--no-limit-headers" end
  local mock <close> = processes.mock(table.unpack(words))
  local takers <close> = setmetatable({}, all_mt)
  for i = 1, opts.processes do
    takers[i] = processes.lua("tests/proof/taker.lua", url, mock.url, tostring(opts.limit),
      tostring(opts.seconds), tostring(opts.tasks), tostring(i))
  end
  each_says(takers, "^(ready)", LONG)
  local seen, begin = {}, proc.wall()
  tell_all(takers, "go")
  local result = { most = 0, later = 0, failed = 0, refused = 0, served = 0, sees = {},
    seconds = 0, lag = 0, cpu = 0 }
  local all = each_says(takers, "^made (%d+) (%d+) (%S+)", opts.seconds + LONG, mock, seen)
  for _, said in ipairs(all) do
    result.failed = result.failed + math.tointeger(said[2])
    result.cpu = result.cpu + tonumber(said[3])
  end
  read_journal(mock, seen)
  tell_all(takers, tostring(#seen))
  for i, said in ipairs(each_says(takers, "^sees (%d+) (%S+)", LONG)) do
    result.sees[i] = math.tointeger(said[1])
    result.seconds = math.max(result.seconds, tonumber(said[2]))
  end
  tell_all(takers, "end")
  for _, taker in ipairs(takers) do taker:finish() end
  for key = 1, #shop.KEYS do
    result.most = math.max(result.most, most_of(seen, key, shop.MINUTE, 0))
    result.later = math.max(result.later, most_of(seen, key, shop.MINUTE, begin + shop.MINUTE))
    result.lag = math.max(result.lag, lag_of(seen, key, shop.MINUTE, opts.limit))
  end
  for _, request in ipairs(seen) do
    local name = request.status == 200 and "served" or "refused"
    result[name] = result[name] + 1
  end
  result.requests = #seen
  local could = #shop.KEYS * opts.limit * math.ceil(opts.seconds / shop.MINUTE)
  result.use = result.served / could
  return result
end

return sharing
