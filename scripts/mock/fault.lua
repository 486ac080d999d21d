--- The faults of the mock: what a request or the server's options ask for. Pure.
local fault = {}

--- Their names, for `mock:fault=NAME` in a message or the header x-mock-fault.
fault.names = { "auth", "context", "cut", "day", "midstream", "minute", "not_found",
  "overloaded", "policy", "server" }

local limits = {
  minute = { unit = "requests", window = "minute", limit = 20, used = 20, requested = 1,
    wait = 20 },
  day = { unit = "requests", window = "day", limit = 50, used = 50, requested = 1, wait = 3600 },
}

-- These befall the answer: the dialect's error of that name, if it has one, stands in.
local of_answer = { cut = true, midstream = true, policy = true }

local known = {}
for _, name in ipairs(fault.names) do known[name] = true end

--- What a refusal at a limit is about, when no meter says it.
---@param window string "minute" or "day"
---@param wait? number seconds
function fault.limited(window, wait)
  local about = {}
  for k, v in pairs(limits[window]) do about[k] = v end
  about.wait = wait or about.wait
  return about
end

local function by_name(name, delay, errors)
  if not known[name] then
    return "bad", { message = "The mock has no fault " .. name }
  elseif limits[name] then
    local about = fault.limited(name, tonumber(delay))
    about.delay = delay
    return "limited", about
  elseif of_answer[name] and not errors[name] then
    return nil, name
  end
  return name, { delay = delay, wait = tonumber(delay) }
end

local function by_status(status, delay)
  if status ~= 429 then
    return "server", { status = status, delay = delay, wait = tonumber(delay) }
  end
  local about = fault.limited("minute", tonumber(delay) or 1)
  about.delay = delay
  return "limited", about
end

local function every(n, count)
  return n and n > 0 and count % n == 0
end

--- The fault that is due: the kind of an error and what it is about; or nil and the
--- name of a fault of the answer (cut, midstream, policy), or nil.
---@param visit table `request`, `ask`
---@param seen integer requests so far
---@param config table fail_every, overload_every
---@param errors table the dialect's
function fault.due(visit, seen, config, errors)
  local request, said = visit.request, visit.ask.said
  local delay = said:match "retry_after=(%d[%d.]*)"
  local name = request:header "x-mock-fault" or said:match "mock:fault=([%l_]+)"
  if name then return by_name(name, delay, errors) end
  local status = request:header "x-mock-status" or said:match "mock:status=(%d+)"
  if not status and said:find("mock:retry_after=", 1, true) then status = "429" end
  status = math.tointeger(tonumber(status))
  if status and status >= 400 and status <= 599 then return by_status(status, delay) end
  if every(config.fail_every, seen) then return "server", {} end
  if every(config.overload_every, seen) then return "overloaded", {} end
  return nil
end

return fault
