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
-- entry -> { serial = false until the pool is listened to, subscribers = list of
-- { event, fn } }; to listen keeps no wrapper alive.
local listening = setmetatable({}, { __mode = "k" })

local function complete(entry, event)
  local key = event.key_index and entry.pool:key(event.key_index)
  event.suffix, event.provider = key and key.suffix, entry.name
end

local function hand_over(subscribers, event)
  for _, s in ipairs(subscribers) do
    if s.event == event.event then
      local ok, err = pcall(s.fn, event)
      if not ok then log.error("a subscriber of %s failed: %s", event.event, tostring(err)) end
    end
  end
end

-- Those that a subscriber causes wait for the next turn: there is no end else. An
-- event counts as told once nothing but its subscribers can fail.
local function deliver_of(entry, state)
  local batch, serials = {}, {}
  local serial, event = entry.pool:event(state.serial)
  while serial do
    batch[#batch + 1], serials[#serials + 1] = event, serial
    serial, event = entry.pool:event(serial)
  end
  local subscribers = table.move(state.subscribers, 1, #state.subscribers, 1, {})
  for i, one in ipairs(batch) do
    if serials[i] > state.serial then -- a subscriber may have stepped the loop
      complete(entry, one)
      state.serial = serials[i]
      hand_over(subscribers, one)
    end
  end
end

local function deliver()
  local entries = {} -- a subscriber may change the table that is walked
  for entry, state in pairs(listening) do
    if state.serial then entries[#entries + 1] = entry end
  end
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
  local subscriber = { event = name, fn = fn }
  local function leave() drop(entry, subscriber) end
  local state = listening[entry] or { serial = false, subscribers = {} }
  listening[entry] = state
  task.after_each_turn(deliver)
  if not state.serial then
    local serial, err = entry.pool:listen(true)
    if not serial then error(errors.from_core(err, { provider = entry.name }), 0) end
    state.serial = serial
  end
  state.subscribers[#state.subscribers + 1] = subscriber -- last: it is told, or this raises
  return leave
end

--- Ends all subscriptions of an entry, which is stopping.
function events.forget(entry)
  local state = listening[entry]
  if not state then return end
  listening[entry] = nil
  if state.serial then entry.pool:listen(false) end
end

return events
