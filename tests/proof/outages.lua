--- A worker that calls at a steady pace while its store fails (busy.lua), and what a new
--- process (look.lua) sees afterwards.
local proc = require "tests.support.proc"
local killing = require "tests.proof.killing"
local processes = require "tests.support.processes"

local outages = {}

local SAMPLE, ANSWER = 0.2, 30 -- seconds

local methods = {}
local outages_mt = { __index = methods, __close = function(self) self.worker:close() end }

--- Starts it on an empty store.
function outages.start(url, models, pace)
  local self = setmetatable({ url = url, models = models, log = {}, most = 0 }, outages_mt)
  self.worker = processes.lua("tests/proof/busy.lua", url, tostring(models), tostring(pace))
  self:expect "^ready"
  return self
end

-- Takes the worker's lines until one of the pattern comes: what that captures.
function methods:expect(pattern, each)
  local found
  local lives = self.worker:listen(proc.mono() + ANSWER, function(line)
    if line:find "^log" then self.log[#self.log + 1] = line end
    if each then each(line) end
    found = found or table.pack(line:match(pattern))
    if found[1] == nil then found = nil end
    return found ~= nil
  end)
  if not found then
    error(lives and "the worker does not answer" or "the worker has ended")
  end
  return table.unpack(found)
end

--- Lets it run for some time, and watches its memory.
function methods:wait(seconds)
  local moment = proc.mono() + seconds
  repeat
    self.worker:listen(math.min(moment, proc.mono() + SAMPLE), function(line)
      if line:find "^log" then self.log[#self.log + 1] = line end
    end)
    self.most = math.max(self.most, self.worker:memory "VmRSS")
  until proc.mono() >= moment
end

--- Lets it run, then tells of all since the phase before: { calls, p50, p99, worst
--- (microseconds), memory, most_memory (KiB) }.
function methods:phase(seconds)
  self:wait(seconds)
  self.worker:tell "phase"
  local calls, p50, p99, worst = self:expect "^phase (%d+) (%S+) (%S+) (%S+)"
  local phase = { calls = math.tointeger(calls), p50 = tonumber(p50), p99 = tonumber(p99),
    worst = tonumber(worst), memory = self.worker:memory "VmRSS", most_memory = self.most }
  self.most = 0
  return phase
end

--- Stops it: { requests, tokens, counters, stopped (seconds), log, faults (lines) }.
function methods:finish()
  local used, result = {}, { requests = 0, tokens = 0, counters = 0, log = self.log, faults = {} }
  self.worker:tell "stop"
  result.stopped = tonumber((self:expect("^stopped (%S+)", function(line)
    local key, model, requests, tokens = line:match "^used (%d+) (%S+) (%d+) (%d+)"
    if key then used[key .. "/" .. model] = requests .. "/" .. tokens end
  end)))
  local how, code = self.worker:finish()
  if how ~= "exit" or code ~= 0 then
    result.faults[1] = ("the worker ended by %s %d"):format(how, code)
  end
  local looker = killing.new(self.url, { models = self.models, grace = 0 })
  for _, s in ipairs(looker:sights {}) do
    local name, has = s.key .. "/" .. s.model, s.requests .. "/" .. s.tokens
    if s.provider == "free" then
      result.requests, result.tokens = result.requests + s.requests, result.tokens + s.tokens
      result.counters = result.counters + 1
      if used[name] ~= has then
        result.faults[#result.faults + 1] = ("key and model %s: used %s requests/tokens, the store "
          .. "has %s"):format(name, tostring(used[name]), has)
      end
      used[name] = nil
    end
  end
  if next(used) then result.faults[#result.faults + 1] = "the store lacks " .. next(used) end
  return result
end

return outages
