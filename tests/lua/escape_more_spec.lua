--- More scripts that try to stall the host: where one instruction, one library call or the copying
--- of what is returned does without end what no instruction counts. What ended each is asserted,
--- not the time it took.
local core = require "keycycle.core"

local PATIENT = 20 -- seconds: where the time must not be what ends it
local HOLES = "local t = {} for i = 1, 4000 do t['k' .. i] = 1 end\n"
  .. "for k in pairs(t) do t[k] = nil end\n"

-- Runs `text`; a function that it returns is called. How it ended, and the value.
local function run(text, seconds)
  local box <close> = assert(core.box { seconds = seconds or PATIENT })
  local ok, value = box:run(text, "@evil.lua")
  if ok and type(value) == "userdata" then ok, value = value:call() end
  if not ok then return value.code, value.message end
  return "well", value
end

local function ends(code, text, seconds)
  local how, what = run(text, seconds)
  assert.equal(code, how, tostring(what))
  return what
end

describe("what a script returns", function()
  it("is walked at the script's expense", function()
    ends("budget", HOLES .. [[
      local list = {} for i = 1, 8000 do list[i] = t end
      local all = {} for i = 1, 12 do all[i] = list end
      return function() return all end]], 0.01)
  end)
  it("may be a large table", function()
    ends("well", "local t = {} for i = 1, 40000 do t[i] = i end return function() return t end")
  end)
end)

describe("a script", function()
  it("has no variables that are closed by a library function, or any other", function()
    local words = ends("script", HOLES .. "return setmetatable(t, { __close = next })")
    assert.truthy(words:find("__close", 1, true), words)
    ends("script", [[
      local mt = {}
      local t = setmetatable({}, mt)
      mt.__close = next
      local x <close> = t]])
  end)

  it("cannot have format call its library functions without end", function()
    ends("budget", HOLES .. [[
      t.k1 = "x"
      setmetatable(t, { __tostring = next })
      local list = {} for i = 1, 3900 do list[i] = t end
      local f = ("%s"):rep(3900)
      for _ = 1, 100 do f:format(table.unpack(list)) end]], 0.01)
  end)

  it("is charged for each item that it formats", function()
    local box <close> = assert(core.box { seconds = PATIENT })
    assert(box:run [[
      local list = {} for i = 1, 3900 do list[i] = 5e-324 end
      return #('%.99g'):rep(3900):format(table.unpack(list))]])
    assert.is_true(box:spent().instructions > 3900 * 20)
  end)

  it("cannot have many numbers hashed to one place laid out anew", function()
    ends("memory", [[
      local t = {} for i = 1, 30000 do t[i * 32767] = true end]], PATIENT)
  end)

  it("may have tables of four thousand names, and lists of more", function()
    ends("well", [[
      local names, list = {}, {}
      for i = 1, 4000 do names["n" .. i] = i end
      for i = 1, 60000 do list[i] = i end
      return function() return #list end]], PATIENT)
  end)

  it("may have texts of any size", function()
    ends("well", [[
      for _, n in ipairs { 196608, 393216, 786432, 24 * 8192 - 1, 1000000 } do
        local s = ("x"):rep(n)
        assert(#s:upper() == n and #table.concat { s } == n and #("%s"):format(s) == n)
        assert(#s:gsub("^x", "y") == n)
      end]], PATIENT)
    ends("well", "return #('x'):rep(196608)", PATIENT)
  end)

  it("that is refused memory again and again ends, inside one instruction, too", function()
    local how = run([[
      kept = {} for i = 1, 30000 do kept[i] = {} end
      local c for i = 1, 60000 do c = { c } end
      local s, v = ("x"):rep(900000), setmetatable({}, { __concat = type })
      return #(]] .. ("s .. v .. "):rep(60) .. [[s)]], 0.02)
    assert.truthy(how == "budget" or how == "memory", how)
  end)
end)
