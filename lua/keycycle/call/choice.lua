--- Takes a lease from an entry's pool: the program's own selection function is
--- asked first, then the engine chooses; or waits for one.
local errors = require "keycycle.errors"
local log = require "keycycle.log"
local task = require "keycycle.task"

local choice = {}

local ASKED = 2 -- times: others may take the key between its answer and the lease

-- What was not known for want of memory is no answer.
local function known(value, err)
  if not value and err.code == "no_memory" then error(errors.from_core(err), 0) end
  return value
end

-- The keys that have room, as a selection function sees them.
local function candidates(entry, model, tokens)
  local list, pool = {}, entry.pool
  for _, index in ipairs(entry:indexes()) do
    if known(pool:next_available(model, tokens, index)) == 0 then
      local key = pool:key(index, model)
      list[#list + 1] = { index = index, suffix = key.suffix, label = key.label,
        group = key.group, priority = key.priority, used = pool:snapshot(index, model),
        limits = pool:limits(index, model) }
    end
  end
  return list
end

-- The index that a selection function answered; nil where it has no wish.
local function answer(entry, list)
  local given = entry.config.choose(list)
  for _, one in ipairs(list) do
    if one.index == given then return given end
  end
  if given ~= nil and not entry.told_of_choice then
    entry.told_of_choice = true -- once will do
    log.warn("the selection function of %s answered %s, which is no candidate's index", entry.name,
      tostring(given))
  end
  return nil
end

local function ask(entry, model, tokens, input)
  for _ = 1, ASKED do
    local list = candidates(entry, model, tokens)
    if #list == 0 then return nil end
    local index = answer(entry, list)
    local lease = index
      and known(entry.pool:acquire(model, tokens, index, true, nil, nil, input))
    if lease then return lease end
  end
  return nil
end

--- A lease, or nil and why, as pool:acquire, whose arguments these are: no table is
--- made for a request. A selection function may raise: the error is the caller's.
---@param entry table
function choice.acquire(entry, model, tokens, key, pin, not_key, affinity, input)
  if entry.config.choose and not key and not affinity then
    local lease = ask(entry, model, tokens, input)
    if lease then return lease end
  end
  return entry.pool:acquire(model, tokens, key, pin, not_key, affinity, input)
end

--- Waits in the pool's queue for a lease.
---@param entry table
---@param wish table as of pool:wait
---@return userdata? lease, table? err, number waited in seconds of the pool's clock
function choice.wait(entry, model, tokens, wish)
  local pool = entry.pool
  local waiter <close>, refused = pool:wait(model, tokens, wish)
  if not waiter then return nil, refused, 0 end
  local started = pool:now()
  task.wait(waiter)
  local waited = pool:now() - started
  local lease, err = waiter:take()
  return lease, err, waited
end

return choice
