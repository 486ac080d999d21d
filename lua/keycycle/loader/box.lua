--- Users' scripts. Each runs in the box (`core.box`), a Lua state apart; what it returns comes
--- back as plain data in which each function is an ordinary closure.
---
--- All scripts of a Lua state share one box. One that breaks its bounds ends the box; the others
--- notice nothing: their text is run again in a new one when they are next called. What a script
--- keeps in its own variables between calls may therefore be lost at any time.
local core = require "keycycle.core"
local log = require "keycycle.log"

local box = {}

local MOST_BREACHES = 10 -- in all, after which the same
local BREACHES = 3 -- in a row, after which a script is not called any more

local current -- the box that scripts run in; nil: made when next needed

local function get_box()
  local err
  if not current or not current:is_open() then
    current, err = core.box()
    if not current then error(err.message, 0) end
  end
  return current
end

local function is_breach(err)
  return err.code == "budget" or err.code == "memory"
end

-- Runs the script's text: whether it went well, its value or the error, its kind.
local function run(script)
  local ok, value, kind = get_box():run(script.text, script.chunkname)
  script.box = ok and current
  return ok, value, kind
end

-- What a value has at a path: a hook, when the script has not changed its mind.
local function at(value, path)
  for _, key in ipairs(path) do
    if type(value) ~= "table" then return nil end
    value = value[key]
  end
  return type(value) == "userdata" and value or nil
end

-- Who calls tells of what a call met; what holds for all later ones is told here.
local function count(script, index, err)
  local row = is_breach(err) and (script.breaches[index] or 0) + 1 or 0
  local all = (script.stopped[index] or 0) + (row > 0 and 1 or 0)
  script.breaches[index], script.stopped[index] = row, all
  if row == BREACHES or row > 0 and all == MOST_BREACHES then
    script.refused[index] = true
    log.warn("the script %s: its %s is not called any more: %s, %d times", script.name,
      table.concat(script.paths[index], "."), err.message, row == BREACHES and row or all)
  end
end

local function fail(script, index, err)
  count(script, index, err)
  error(err.message, 0)
end

-- The hook number `index` in the box of now.
local function find(script, index)
  if script.box ~= get_box() then
    local ok, value = run(script)
    if not ok then fail(script, index, value) end
    for i, path in ipairs(script.paths) do script.hooks[i] = at(value, path) or false end
  end
  local hook = script.hooks[index]
  if not hook then error(script.name .. ": a function is not there any more", 0) end
  return hook
end

local function finish(script, index, ok, ...)
  if not ok then fail(script, index, (...)) end
  script.breaches[index] = 0
  return ...
end

local function call(script, index, method, ...)
  if script.refused[index] then
    error(script.name .. ": not called any more, for it ran over its bounds again and again", 0)
  end
  local found = find(script, index)
  return finish(script, index, found[method](found, ...))
end

-- A protocol's `event` notes in a table what it needs at later events. In the box it does
-- so in a copy, which is all that the caller's table holds.
local function event_of(script, index)
  return function(kind, data, state)
    local after, chunk = call(script, index, "call_keep", kind, data, state[1] or {})
    state[1] = after
    return chunk
  end
end

local function is_event(path)
  return #path == 3 and path[1] == "protocols" and path[3] == "event"
end

-- A copy of `value` with closures for hooks; `path` leads to it.
local function dress(script, value, path)
  if type(value) == "userdata" then
    local index = #script.paths + 1
    script.paths[index], script.hooks[index] = path, value
    if is_event(path) then return event_of(script, index) end
    return function(...) return call(script, index, "call", ...) end
  end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do
    local deeper = table.move(path, 1, #path, 1, {})
    deeper[#deeper + 1] = key
    out[key] = dress(script, item, deeper)
  end
  return out
end

--- Runs a script's text and returns what it returned: `{ kind, value }`, with kind "provider",
--- "policy" or "limits" where the script said so (`return keycycle.policy { … }`), else nil.
--- Each function in `value` takes and returns plain values (no functions) and raises a text
--- `file:line: what` when the script fails or runs over its bounds. After three calls over
--- the bounds in a row, or ten in all, it raises at once, until the text is loaded anew;
--- the log tells.
---@param text string Lua source
---@param chunkname string as `load` takes it: "@providers/acme.lua"
---@return { kind: string?, value: any }? script
---@return table? err code "script" | "budget" | "memory" | "value", message, file, line
function box.load(text, chunkname)
  local script = { text = text, chunkname = chunkname, name = chunkname:gsub("^[@=]", ""),
    paths = {}, hooks = {}, breaches = {}, stopped = {}, refused = {} }
  local ok, value, kind = run(script)
  if not ok then
    value.file = value.file or script.name
    return nil, value
  end
  return { kind = kind, value = dress(script, value, {}) }
end

return box
