--- Iterators of other clients: the lease is held until they end, and what they bring is
--- counted on its way through.
local blackout = require "keycycle.foreign.blackout"
local functions = require "keycycle.foreign.functions"
local refusal = require "keycycle.foreign.refusal"

local stream = {}

local states = setmetatable({}, { __mode = "k" }) -- a stream that is an object -> its state

-- Runs the `__close` of what a client gave to be closed, whatever hides it.
local function close_value(value)
  local _ <close> = value
end

local guard_mt = {
  __name = "keycycle.guard",
  __close = function(guard)
    local closing = guard.closing
    guard.closing = nil
    guard.use:close()
    close_value(closing)
  end,
}

local function fail(state, err)
  local use = state.use
  local response = refusal.raised(err)
  if response and not use.closed then
    use:refuse(refusal.result(response, use.run.entry.pool))
  end
  use:close()
  blackout.raise(use.run.entry.pool, err)
end

-- What one step gave, noted and handed on.
local function pass(state, ok, ...)
  local use = state.use
  if not ok then fail(state, (...)) end
  if use.closed then return ... end
  if (...) == nil then use:close() else use:note(...) end
  return ...
end

local function step(state, ...)
  local first = state.first
  if not first then return pass(state, pcall(state.iterator, ...)) end
  state.first = nil
  return pass(state, true, table.unpack(first, 1, first.n))
end

local object_mt = { __name = "keycycle.foreign.stream" }

object_mt.__call = function(object, ...)
  return step(states[object], ...)
end

-- Its other methods get the client's own object; `close` ends the use of the key.
object_mt.__index = function(object, key)
  local state = states[object]
  local value = state.iterator[key]
  if type(value) ~= "function" then return value end
  return function(self, ...)
    if key == "close" then state.use:close() end
    if rawequal(self, object) then self = state.iterator end
    return blackout.call(state.use.run.entry.pool, value, self, ...)
  end
end

object_mt.__close = function(object)
  local state = states[object]
  local own = state.guard.closing ~= state.iterator and getmetatable(state.iterator)
  guard_mt.__close(state.guard)
  if type(own) == "table" and own.__close then close_value(state.iterator) end
end

--- Whether the first of results is what a generic `for` could call.
function stream.is_one(results)
  return functions.callable(results[1])
end

--- Reads the first piece of an iterator that is a function, so that what fails there can
--- still go to another key. An object with methods is left as it is: one of these may be
--- what reads it.
---@param results table packed, of a method
---@return boolean ok, any first its results, packed (nil: not read), or the error
function stream.begin(results)
  if type(results[1]) ~= "function" then return true, nil end
  local first = table.pack(pcall(results[1], results[2], results[3]))
  if not first[1] then return false, first[2] end
  return true, table.pack(table.unpack(first, 2, first.n))
end

--- The results of a method with its iterator replaced by one that counts; the fourth
--- closes it where a `for` is left.
---@param use table owns the lease
---@param results table packed
---@param first? table what `begin` has read
---@return table results packed
---@return any iterator
function stream.wrap(use, results, first)
  local guard = setmetatable({ use = use, closing = results[4] }, guard_mt)
  local state = { use = use, iterator = results[1], first = first, guard = guard }
  local iterator
  if type(state.iterator) == "function" then
    iterator = function(...) return step(state, ...) end
  else
    iterator = setmetatable({}, object_mt)
    states[iterator] = state
  end
  local all = { n = math.max(results.n, 4) }
  for i = 1, results.n do all[i] = results[i] end
  all[1], all[4] = iterator, guard
  return all, iterator
end

return stream
