--- Holds a call back while its provider is down: what call/breaker.lua says, on the
--- wrapper's clock.
local core = require "keycycle.core"
local breaker = require "keycycle.call.breaker"
local log = require "keycycle.log"
local task = require "keycycle.task"

local hold = {}

-- Kinds that are the provider's fault. What only one model's servers lack says
-- nothing of the others.
local down = { overloaded = true, server = true }

-- An entry's breaker is shared by all clients of that provider of the wrapper.
local function breaker_of(entry)
  if not entry.breaker then
    local held = {} -- the timers of those who wait
    entry.held = held
    entry.breaker = breaker.new { release = function()
      for timer in pairs(held) do timer:finish() end
    end }
  end
  return entry.breaker
end

--- A call's pass through the breaker of its provider; it is to be closed.
function hold.enter(entry)
  return breaker_of(entry):enter()
end

local held_mt = {
  __close = function(wait)
    wait.held[wait.timer] = nil
  end,
}

local function pause(entry, seconds)
  local ms = math.max(1, math.ceil(seconds * 1000)) -- upwards: clocks have whole ones
  local timer <close> = core.timer(ms / 1000, entry.manual_clock)
  local wait <close> = setmetatable({ timer = timer, held = entry.held }, held_mt)
  wait.held[timer] = true -- it may be finished before its time
  task.wait(timer)
end

--- Waits, for at most `most` seconds, until the call may make an attempt: the seconds
--- it waited; or nil and in how many it may be worth trying again. Outside of tasks a
--- manual clock cannot be waited for.
---@param pass table of `enter`
---@param entry table
---@param most number
---@return number? waited, number? retry_after
function hold.wait(pass, entry, most)
  local pool, alone = entry.pool, not task.may_yield()
  local started = pool:now()
  local now = started
  while true do
    local go, seconds = pass:go(now, alone)
    if go then return now - started end
    local left = started + most - now
    if left <= 0 or seconds and seconds > left or alone and entry.manual_clock then
      return nil, entry.breaker:retry_after(now)
    end
    pause(entry, seconds or left)
    now = pool:now()
  end
end

--- Tells the breaker what came of an attempt.
---@param verdict? table nil: it worked
function hold.tell(pass, entry, verdict)
  local kind = verdict and verdict.kind
  if kind == "transport" then return pass:gave_up() end
  local of_model = verdict and verdict.scope == "model"
  if down[kind] and (not of_model or entry.breaker.probe == pass) then
    local seconds = pass:failed(entry.pool:now(), verdict.retry_after)
    if seconds and entry.breaker.rounds == 1 then
      log.warn("%s does not answer (%s): calls are held back, the next one goes in %.1f s",
        entry.name, kind, seconds)
    end
  elseif not down[kind] and pass:worked() then
    log.info("%s answers again", entry.name)
  end
end

return hold
