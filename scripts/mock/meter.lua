--- The mock provider's own counter: an exact log of what each key used.
---
--- Shares no code with the engine: it is what the engine is compared with.
local meter = {}

local WINDOWS = { minute = 60, hour = 3600, day = 86400 }

local methods = {}
local meter_mt = { __index = methods }

--- limits: { requests = { minute = n, … }, tokens = { … }, input_tokens = …, output_tokens
--- = … }; absent: no limit. now: a function that tells the time in seconds.
function meter.new(limits, now)
  return setmetatable({ limits = limits, now = now, log = {}, first = 1, last = 0 },
    meter_mt)
end

-- What the longest window has forgotten is dropped.
local function prune(self)
  local before = self.now() - WINDOWS.day
  while self.first <= self.last and self.log[self.first].at <= before do
    self.log[self.first] = nil
    self.first = self.first + 1
  end
end

local function used(self, unit, window)
  local since, sum, oldest = self.now() - WINDOWS[window], 0, nil
  for i = self.first, self.last do
    local entry = self.log[i]
    if entry.at > since then
      sum = sum + entry[unit]
      oldest = oldest or entry.at
    end
  end
  return sum, oldest
end

-- Seconds until `cost` units would pass one limit, 0 for now.
local function wait_for(self, unit, window, limit, cost)
  local sum = used(self, unit, window)
  if sum + cost <= limit then return 0 end
  local need, at = sum + cost - limit, nil
  for i = self.first, self.last do
    local entry = self.log[i]
    if entry.at > self.now() - WINDOWS[window] then
      need, at = need - entry[unit], entry.at
      if need <= 0 then break end
    end
  end
  return at and at + WINDOWS[window] - self.now() or WINDOWS[window]
end

--- Counts a request if every limit lets it pass: nil, or what refused it: { wait
--- (seconds), unit, window, limit, used, requested }. What is refused is not counted.
function methods:take(input, output)
  prune(self)
  local cost = { at = self.now(), requests = 1, tokens = input + output, input_tokens = input,
    output_tokens = output }
  local worst
  for unit, windows in pairs(self.limits) do
    for window, limit in pairs(windows) do
      local wait = wait_for(self, unit, window, limit, cost[unit])
      if wait > (worst and worst.wait or 0) then
        worst = { wait = wait, unit = unit, window = window, limit = limit,
          used = used(self, unit, window), requested = cost[unit] }
      end
    end
  end
  if worst then return worst end
  self.last = self.last + 1
  self.log[self.last] = cost
  return nil
end

--- Limit, what remains, seconds until the first of it comes back and what was used,
--- for the headers; nil where there is no limit.
function methods:state(unit, window)
  local limit = self.limits[unit] and self.limits[unit][window]
  if not limit then return nil end
  local sum, oldest = used(self, unit, window)
  local reset = oldest and oldest + WINDOWS[window] - self.now() or 0
  return limit, math.max(0, limit - sum), reset, sum
end

return meter
