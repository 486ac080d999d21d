--- The mock provider's own counter: an exact log of what each key used.
---
--- Shares no code with the engine: it is what the engine is compared with.
local meter = {}

local WINDOWS = { minute = 60, hour = 3600, day = 86400 }

local methods = {}
local meter_mt = { __index = methods }

--- limits: { requests = { minute = n, … }, tokens = { … } }; absent: no limit.
--- now: a function that tells the time in seconds.
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

--- Seconds until `cost` units would pass one limit, 0 for now.
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

--- Counts a request if every limit lets it pass: nil, or seconds to wait, the unit
--- and the limit. What is refused is not counted.
function methods:take(tokens)
  prune(self)
  local worst, unit_of, limit_of = 0, nil, nil
  for unit, windows in pairs(self.limits) do
    for window, limit in pairs(windows) do
      local cost = unit == "requests" and 1 or tokens
      local wait = wait_for(self, unit, window, limit, cost)
      if wait > worst then worst, unit_of, limit_of = wait, unit, limit end
    end
  end
  if worst > 0 then return worst, unit_of, limit_of end
  self.last = self.last + 1
  self.log[self.last] = { at = self.now(), requests = 1, tokens = tokens }
  return nil
end

--- Limit, what remains and seconds to the reset of the minute, for the headers;
--- nil where there is no limit.
function methods:minute(unit)
  local limit = self.limits[unit] and self.limits[unit].minute
  if not limit then return nil end
  local sum, oldest = used(self, unit, "minute")
  local reset = oldest and oldest + WINDOWS.minute - self.now() or 0
  return limit, math.max(0, limit - sum), reset
end

return meter
