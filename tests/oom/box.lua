--- The box: each allocation of it and around it. One that fails inside ends the box, and a new
--- one takes its place.
local keycycle = require "keycycle"
local core = require "keycycle.core"
local scripts = require "keycycle.loader.box"

local text = [[
  local seen = 0
  return keycycle.provider { name = "p", list = { 1, 2.5, { "deep", [true] = false } },
    usage = function(body, ...)
      seen = seen + 1
      local words = {}
      for word in body.text:gmatch "%a+" do words[#words + 1] = word:upper() end
      table.sort(words)
      return { total_tokens = #words, text = table.concat(words, " "):rep(50), n = seen }, ...
    end, broken = function() error { "no text" } end,
    protocols = { chat = { event = function(kind, data, state)
      state.all = (state.all or "") .. kind .. data.text
      return { text = state.all }
    end } } }]]

local function open(w)
  if w.box and w.box:is_open() then return w.box end
  local box, err = core.box { seconds = 60 }
  if not box then error(err, 0) end
  w.box = box
  return box
end

local function unwrap(ok, value, ...)
  if not ok then error(value.message, 0) end
  return value, ...
end

local body = { text = "one two three", list = keycycle.json.array { keycycle.json.null, 7 } }

local function check_usage(usage, second)
  assert(usage.total_tokens == 3 and #usage.text == 650 and second == "more", usage.total_tokens)
end

return {
  { "open", open },
  { "run", function(w)
    local value, kind = unwrap(open(w):run(text, "@oom.lua", { given = { 1 } }))
    assert(kind == "provider" and value.list[3][1] == "deep")
    w.usage = value.usage
  end },
  { "call", function(w)
    if not open(w) or not w.usage or w.of ~= w.box then
      w.of, w.usage = w.box, unwrap(w.box:run(text, "@oom.lua")).usage
    end
    check_usage(unwrap(w.usage:call(body, "more")))
  end },
  { "refuse", function(w)
    local ok, err = open(w):run("return {", "@oom.lua")
    assert(not ok)
    if err.code ~= "script" then error(err.message, 0) end
    ok, err = open(w):run("local t = {} t.t = t return t", "@oom.lua")
    assert(not ok)
    if err.code ~= "value" then error(err.message, 0) end
  end },
  { "load", function(w)
    local script, err = scripts.load(text, "@oom.lua")
    if not script then error(err.message, 0) end
    assert(script.kind == "provider")
    w.script = script
  end },
  { "use", function(w)
    check_usage(w.script.value.usage(body, "more"))
    local state, event = {}, w.script.value.protocols.chat.event
    event("a", body, state)
    assert(#event("b", body, state).text == 28 and #state[1].all == 28)
    local ok, err = pcall(w.script.value.broken)
    assert(not ok)
    if err ~= "the error is a table" then error(err, 0) end
  end },
  { "close", function(w)
    w.box:close()
    assert(not w.box:is_open())
  end },
  check = function(w)
    check_usage(w.script.value.usage(body, "more"))
  end,
}
