--- The rules that say what a refusal means: their checks, and how one is tried.
---
--- A rule fits when its status is the answer's and its path holds what it asks for.
---   status   one, or a list
---   path     "error.code", "errors[*].code" ([*]: any element, [1]: the first),
---            "header:name", "*" or "message" (the text of any layer); or a list of
---            them: see refusal/paths.lua
---   op       equals (default) prefix contains exists in lte; without case. match: a
---            Lua pattern, in the first 2,000 bytes (400 where it repeats twice)
---   value    what the op compares with; with prefix and contains also a list: any of it
---   kind, scope, window   the verdict; delay: a path or header that states seconds;
---            resets: the time zone at whose midnight the window begins anew
local ascii = require "keycycle.ascii"
local core = require "keycycle.core"
local errors = require "keycycle.errors"
local paths = require "keycycle.refusal.paths"

local rules = {}

local MOST_MATCHED = 2000
local MOST_MATCHED_TWICE = 400 -- with two repetitions, whose cost is that to the third
local MOST_PATTERN = 100
local MOST_RULES = 200 -- of one provider
local MOST_READ = 4000000 -- bytes, some of them again and again
local MOST_STEPS = 1000000 -- of matching, for all rules and values of one answer

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

--- The kinds, scopes and windows that there are, as sets.
rules.kinds = set [[temporary overloaded server quota auth payment invalid_request
  context_length request_too_large content_policy not_found permission_region]]
rules.scopes = set "request key model group provider"
rules.windows = set "second minute hour day month"

-- A value as text without case; nil for what is no single value.
local function plain(value)
  local kind = type(value)
  if kind == "number" then
    if value ~= value then return nil end
    return ascii.text(math.tointeger(value) or value)
  end
  if kind == "string" then return ascii.lower(value) end
  return kind == "boolean" and tostring(value) or nil
end

-- What all rules together read of one answer is bounded.
local function may_read(bytes, seen)
  seen.bytes_read = (seen.bytes_read or 0) + bytes
  return seen.bytes_read <= MOST_READ
end

-- Each op: whether it fits `have` (any value that is there), by its compiled value.
local ops = {
  equals = function(have, want) return plain(have) == want end,
  prefix = function(have, want)
    local text = plain(have)
    for i = 1, text and #want or 0 do
      if text:sub(1, #want[i]) == want[i] then return true end
    end
    return false
  end,
  contains = function(have, want, seen)
    local text = plain(have)
    for i = 1, text and #want or 0 do
      if not may_read(#text, seen) then return false end
      if text:find(want[i], 1, true) then return true end
    end
    return false
  end,
  -- All patterns of one classification share their steps.
  match = function(have, want, seen)
    local kind = type(have)
    if kind ~= "string" and kind ~= "number" then return false end
    local ok, fits, left = pcall(core.match, tostring(have):sub(1, want.bytes), want.pattern,
      seen.match_steps or MOST_STEPS)
    if fits == "not enough memory" then error(fits, 0) end
    seen.match_steps = ok and left or 0
    return ok and fits
  end,
  exists = function() return true end,
  ["in"] = function(have, want)
    local text = plain(have)
    return text ~= nil and want[text] == true
  end,
  lte = function(have, want)
    local n = tonumber(have)
    return n ~= nil and n <= want
  end,
}

-- One item of a pattern from byte `at` on: where it ends; nil: it is malformed.
local function item_end(pattern, at)
  local c = pattern:sub(at, at)
  if c == "%" then
    local class = pattern:sub(at + 1, at + 1)
    if class == "b" then return #pattern >= at + 3 and at + 4 or nil end
    if class == "f" then return pattern:sub(at + 2, at + 2) == "[" and at + 2 or nil end
    return class:find "^[^%d]$" and at + 2 or nil
  end
  if c ~= "[" then return at + 1 end
  at = at + (pattern:sub(at + 1, at + 1) == "^" and 2 or 1)
  if pattern:sub(at, at) == "]" then at = at + 1 end
  while at <= #pattern do
    c = pattern:sub(at, at)
    if c == "]" then return at + 1 end
    at = at + (c == "%" and 2 or 1)
  end
  return nil
end

-- How often a pattern repeats something, and how often it leaves something out; nil:
-- it is malformed, or uses captures by number.
local function repetitions(pattern)
  local at, repeats, options, depth = pattern:sub(1, 1) == "^" and 2 or 1, 0, 0, 0
  while at <= #pattern do
    local c = pattern:sub(at, at)
    if c == "(" or c == ")" then
      depth = depth + (c == "(" and 1 or -1)
      if depth < 0 then return nil end
      at = at + 1
    else
      if pattern:find("^%%b", at) then repeats = repeats + 1 end
      at = item_end(pattern, at)
      if not at then return nil end
      local suffix = pattern:match("^[*+?-]", at)
      if suffix == "?" then options = options + 1 elseif suffix then repeats = repeats + 1 end
      if suffix then at = at + 1 end
    end
  end
  if depth == 0 then return repeats, options end
  return nil
end

-- What an op compares with, made ready; nil and what is wrong.
local function compile_value(op, value)
  if op == "exists" then return true end
  if op == "lte" then return type(value) == "number" and value or nil, "a number" end
  if op == "match" then
    if type(value) ~= "string" then return nil, "a pattern" end
    local repeats, options = repetitions(value)
    if not repeats then return nil, "a well-formed Lua pattern without %1" end
    if repeats > 2 or options > 4 or #value > MOST_PATTERN then
      return nil, "a pattern with at most two of * + - and four of ?, of at most 100 bytes"
    end
    return { pattern = value, bytes = repeats > 1 and MOST_MATCHED_TWICE or MOST_MATCHED }
  end
  if op == "equals" then return plain(value), "a text or a number" end
  local out = {}
  for i, v in ipairs(type(value) == "table" and value or op ~= "in" and { value } or {}) do
    out[i] = plain(v)
    if not out[i] or out[i] == "" then return nil, "texts or numbers" end
    if op == "in" then out[out[i]] = true end
  end
  return #out > 0 and out or nil, op == "in" and "a list" or "a text, or a list of them"
end

local function compile_statuses(status)
  local out = {}
  for _, one in ipairs(type(status) == "table" and status or { status }) do
    local n = math.type(one) and math.tointeger(one)
    if not n or n < 100 or n > 999 then return nil end
    out[n] = true
  end
  return next(out) and out or nil
end

local fields = set "status path op value kind scope window delay resets"

local function check_words(rule, fail)
  for k in pairs(rule) do
    if not fields[k] then fail("has no field %q (known: %s)", k, errors.list(fields)) end
  end
  if not rules.kinds[rule.kind or ""] then fail("has no kind that is known: %s", rule.kind) end
  if rule.scope ~= nil and not rules.scopes[rule.scope] then
    fail("has an unknown scope: %s", rule.scope)
  end
  if rule.window ~= nil and not rules.windows[rule.window] then
    fail("has an unknown window: %s", rule.window)
  end
  if rule.resets ~= nil then
    if type(rule.resets) ~= "string" or not core.zone_known(rule.resets) then
      fail("resets must be a time zone such as \"UTC\" or \"America/Los_Angeles\", not %s",
        rule.resets)
    end
    if rule.window ~= "day" and rule.window ~= "month" then
      fail "needs window \"day\" or \"month\" for resets"
    end
  end
end

local function compile_rule(rule, fail)
  if type(rule) ~= "table" then fail("is no table but a %s", type(rule)) end
  check_words(rule, fail)
  if rule.status == nil and rule.path == nil then fail "needs a status or a path" end
  local out = { kind = rule.kind, scope = rule.scope, window = rule.window, resets = rule.resets }
  if rule.status ~= nil then
    out.statuses = compile_statuses(rule.status) or fail "needs a status or a list of them"
  end
  if rule.delay ~= nil then
    out.delay = paths.compile(rule.delay) or fail("has a malformed delay: %s", rule.delay)
  end
  if rule.path == nil then
    if rule.op ~= nil or rule.value ~= nil then fail "has op or value, but no path" end
    return out
  end
  out.paths = paths.compile(rule.path) or fail("has a malformed path: %s", rule.path)
  local op = rule.op or "equals"
  out.test = ops[op] or fail("has an unknown op: %s", op)
  local value, wanted = compile_value(op, rule.value)
  if value == nil then fail("needs %s as value of %s", wanted, op) end
  out.value = value
  return out
end

local function compile(list, name)
  local out, functions_end = {}, false
  if #list > MOST_RULES then
    errors.invalid("provider %s: classify has more than %d rules", name, MOST_RULES)
  end
  for i, rule in ipairs(list) do
    local function fail(fmt, ...)
      local args = table.pack(...)
      for n = 1, args.n do args[n] = tostring(args[n]) end
      errors.invalid("provider %s: classify rule %d %s", name, i,
        fmt:format(table.unpack(args, 1, args.n)))
    end
    if type(rule) == "function" then
      if functions_end then fail "is a function: those stand before the rules" end
      out[i] = rule
    else
      functions_end = true
      out[i] = compile_rule(rule, fail)
    end
  end
  for k in pairs(list) do
    if math.type(k) ~= "integer" or k < 1 or k > #out then
      errors.invalid("provider %s: classify is a list; it has no field %q", name, tostring(k))
    end
  end
  return out
end

local checked = setmetatable({}, { __mode = "k" }) -- by the list that they were made of

--- Checks the rules of a provider, and makes them ready, once. Functions may stand
--- before the rules and are kept as they are. Raises InvalidConfigurationError that
--- names the provider and the rule.
---@param list? table|function a provider's `classify`
---@param name string the provider's
---@return table compiled
function rules.check(list, name)
  if list == nil then return {} end
  if type(list) == "function" then return { list } end
  if not checked[list] then checked[list] = compile(list, name) end
  return checked[list]
end

--- Whether a compiled rule fits an answer. Where no status says no (an error inside a
--- success or a stream), what the rule's path asks for decides alone.
---@param rule table
---@param seen table status, headers (lower-case names), layers, texts
---@return boolean
function rules.fits(rule, seen)
  if rule.statuses then
    if seen.status == nil and not rule.paths then return false end
    if seen.status ~= nil and not rule.statuses[seen.status] then return false end
  end
  if not rule.paths then return true end
  return paths.any(rule.paths, seen, function(have)
    return may_read(type(have) == "string" and #have or 1, seen)
      and rule.test(have, rule.value, seen)
  end)
end

return rules
