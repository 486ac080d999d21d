--- What happens to a provider's keys, told to those who asked.
---
--- The engine keeps the last events while somebody listens. They are handed over
--- on the loop of the program, after its tasks had their turn: a subscriber may do
--- what any other code may.
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local task = require "keycycle.task"

local invalid = errors.invalid

local events = {}

local names = { acquire = true, rotate = true, cooldown = true, invalid = true, recover = true,
  wait = true, learn = true }
-- entry -> { serial =, subscribers = list of { event, fn } }; to listen keeps no
-- wrapper alive.
local listening = setmetatable({}, { __mode = "k" })

local function hand_over(entry, subscribers, event)
  local key = event.key_index and entry.pool:key(event.key_index)
  event.suffix, event.provider = key and key.suffix, entry.name
  for _, s in ipairs(subscribers) do
    if s.event == event.event then
      local ok, err = pcall(s.fn, event)
      if not ok then log.error("a subscriber of %s failed: %s", event.event, tostring(err)) end
    end
  end
end

-- Those that a subscriber causes wait for the next turn: there is no end else.
local function deliver_of(entry, state)
  local batch = {}
  local serial, event = entry.pool:event(state.serial)
  while serial do
    batch[#batch + 1], state.serial = event, serial
    serial, event = entry.pool:event(serial)
  end
  local subscribers = table.move(state.subscribers, 1, #state.subscribers, 1, {})
  for _, one in ipairs(batch) do hand_over(entry, subscribers, one) end
end

local function deliver()
  local entries = {} -- a subscriber may change the table that is walked
  for entry in pairs(listening) do entries[#entries + 1] = entry end
  for _, entry in ipairs(entries) do
    local state = listening[entry]
    if state then deliver_of(entry, state) end
  end
end

local function drop(entry, subscriber)
  local state = listening[entry]
  for i, s in ipairs(state and state.subscribers or {}) do
    if s == subscriber then
      table.remove(state.subscribers, i)
      break
    end
  end
  if state and #state.subscribers == 0 then events.forget(entry) end
end

--- Calls `fn(event)` for each event of that name from now on:
--- `{ event, at, provider, key_index, suffix, model, from, until_at, reason, amount,
--- lost }`, where known; of `learn` the reason is the limit's name and amount what
--- it is now; `lost` counts events before it that came too fast. Returns a function
--- that ends it. Raises InvalidConfigurationError.
---@param entry table
---@param name string
---@param fn function
function events.on(entry, name, fn)
  if not names[name] then
    invalid("there is no event %q (known: acquire, cooldown, invalid, learn, recover, rotate, "
      .. "wait)", tostring(name))
  end
  if type(fn) ~= "function" then invalid("on needs a function, not a %s", type(fn)) end
  local state = listening[entry]
  if not state then
    local serial, err = entry.pool:listen(true)
    if not serial then error(errors.from_core(err, { provider = entry.name }), 0) end
    state = { serial = serial, subscribers = {} }
    listening[entry] = state
    task.after_each_turn(deliver)
  end
  local subscriber = { event = name, fn = fn }
  state.subscribers[#state.subscribers + 1] = subscriber
  return function() drop(entry, subscriber) end
end

--- Ends all subscriptions of an entry, which is stopping.
function events.forget(entry)
  if not listening[entry] then return end
  listening[entry] = nil
  entry.pool:listen(false)
end

return events
