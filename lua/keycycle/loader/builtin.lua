--- The built-in providers, policies and limit tables: files in the form that users
--- write, run with the globals that users' files have.
local core = require "keycycle.core"

local builtin = {}

local folders = { provider = "keycycle/providers/", policy = "keycycle/policies/",
  limits = "keycycle/limits/" }
local loaded = { provider = {}, policy = {}, limits = {} }

local globals = { assert = assert, error = error, ipairs = ipairs, math = math, next = next,
  pairs = pairs, pcall = pcall, select = select, string = string, table = table,
  tonumber = tonumber, tostring = tostring, type = type, utf8 = utf8 }

-- `keycycle` for such a file. What defines things is required here, not above: it
-- requires this file.
local function face()
  local define = require("keycycle.provider").define
  local function find(name) return builtin.get("provider", name) end
  return {
    -- A built-in one extends built-in ones, whatever the program's scripts define.
    provider = function(definition) return define(definition, find) end,
    policy = require("keycycle.policy").define,
    RateLimits = require("keycycle.limits").check,
  }
end

--- What the built-in file of that name returns, run once; nil where there is none.
---@param kind "provider"|"policy"|"limits"
---@param name string
function builtin.get(kind, name)
  local known = loaded[kind][name]
  if known ~= nil or type(name) ~= "string" then return known end
  local env = setmetatable({ keycycle = face() }, { __index = globals })
  local chunk = core.builtin(folders[kind] .. name .. ".lua", env)
  if not chunk then return nil end
  loaded[kind][name] = chunk()
  return loaded[kind][name]
end

--- Names of the built-in ones of a kind, sorted.
---@return string[]
function builtin.names(kind)
  return core.builtin_names(folders[kind])
end

return builtin
