--- Scripts that try to get out of the box, to stall or exhaust the host, to change what others
--- see, or to hand it something that bites. Each runs in a box of its own; it must end as told,
--- and the host must be as it was.
local core = require "keycycle.core"

local PATIENT = 20 -- seconds: where the time must not be what ends it
local LOOSE = 30 -- seconds: of a machine under a checker; what ended it is what is asserted

local worst = { seconds = 0, name = "none" }

local own_hook = debug.gethook() -- the tests' own, if any

-- What the host's own functions do, before and after.
local function check_host()
  assert.equal("aa 1.5", ("%s %g"):format(("a"):rep(2), 1.5))
  assert.equal("1,2", table.concat({ 1, 2 }, ","))
  assert.equal("xay", (("xby"):gsub("b", "a")))
  assert.equal(string, getmetatable("").__index)
  assert.is_nil(rawget(_G, "escaped"))
  assert.equal(own_hook, (debug.gethook()))
end

local function measure(name, fn, ...)
  local start = os.clock()
  local result = table.pack(fn(...))
  local seconds = os.clock() - start
  if seconds > worst.seconds then worst = { seconds = seconds, name = name } end
  assert.is_true(seconds < LOOSE, seconds)
  return table.unpack(result, 1, result.n)
end

--- Runs `text`; a function that it returns is called.
local function run(name, text, seconds)
  local box <close> = assert(core.box { seconds = seconds })
  return measure(name, function()
    local ok, value = box:run(text, "@evil.lua")
    if ok and type(value) == "userdata" then return value:call() end
    return ok, value
  end)
end

--- name, how it ends (codes, "a|b"; or "value=" and the text of what it returns), text.
local function try(name, ending, text)
  it(name, function()
    local ok, result = run(name, text, not ending:find "budget" and PATIENT or nil)
    check_host()
    local wanted = ending:match "^value=(.*)$"
    if wanted then
      assert(ok, ok or result.message)
      assert.equal(wanted, tostring(result))
    else
      assert.is_false(ok)
      local found = ("|" .. ending .. "|"):find("|" .. result.code .. "|", 1, true)
      assert.truthy(found, ("%s: %s"):format(result.code, result.message))
    end
  end)
end

describe("a script that wants out", function()
  try("finds nothing that reaches files, processes, the environment or other code", "value=nil", [[
    return os or io or debug or load or loadstring or loadfile or dofile or require or package
      or coroutine or collectgarbage or print or warn or _G or getfenv or setfenv or newproxy
      or module or arg or jit]])
  try("finds no dump, pack or address maker in the string library", "value=nil nil nil nil", [[
    return ("%s %s %s %s"):format(string.dump, string.pack, string.unpack, ("x").dump)]])
  try("cannot run bytecode", "script", string.dump(load "escaped = true"))
  try("cannot run bytecode that is cut short", "script", "\27Lua\x54\0\x19\x93\r\n\x1a\n")
  try("cannot name the environment", "script", "local function f() return _ENV end return f()")
  try("cannot make an environment of its own constant", "script",
    "local _ENV <const> = {} x = 1 return x")
  try("sees no address of a table or function", "value=table function function", [[
    return tostring({}) .. " " .. tostring(tostring) .. " " .. ("%s"):format(function() end)]])
  try("is refused the format of an address", "script", "return ('%p'):format({})")
  try("gets no address out of the random seed", "value=0", [[
    return select("#", math.randomseed(1))]])
  try("cannot seed by address", "script", "return math.randomseed()")
  try("gets no address out of an error", "value=", [[
    local _, a = pcall(function() return {} .. {} end)
    local _, b = pcall(function() return {} < {} end)
    local _, c = pcall(error, {})
    local _, d = pcall(string.rep, {}, 2)
    return (a .. b .. tostring(c) .. d):match "0x%x+" or ""]])
  try("cannot get the strings' metatable", "value=false", "return getmetatable('')")
  try("cannot change the strings' metatable", "script", "return setmetatable('', {})")
  try("cannot write into the strings' functions", "script", "('x').rep = 1")
  try("has no finalizer", "script", [[
    setmetatable({}, { __gc = function() while true do end end })]])
  try("has no finalizer that comes later", "value=0", [[
    local n, mt = 0, {}
    for i = 1, 1000 do setmetatable({}, mt) end
    mt.__gc = function() n = n + 1 end
    for i = 1, 1000 do setmetatable({}, getmetatable(setmetatable({}, {}))) end
    for i = 1, 20000 do local t = { i } end
    return n]])
  try("has no weak tables", "script", "setmetatable({}, { __mode = 'k' })")
  try("has no weak tables that come later", "value=1000", [[
    local mt, weak = {}, {}
    setmetatable(weak, mt)
    mt.__mode = "v"
    for i = 1, 1000 do weak[i] = { i } end
    for i = 1, 50000 do local t = { i } end
    return #weak]])
end)

describe("a script that stalls", function()
  try("in a loop ends", "budget", "while true do end")
  try("in a loop of a function ends", "budget", "return function() for i = 1, math.huge do end end")
  try("in a loop that catches its end ends", "budget", [[
    local function loop() while true do end end
    while true do pcall(loop) end]])
  try("in nested loops that catch their end ends", "budget", [[
    local function deep(n)
      while true do
        if n > 0 then pcall(deep, n - 1) end
      end
    end
    deep(150)]])
  try("in an error handler ends", "budget", [[
    xpcall(function() while true do end end, function() while true do end end)]])
  try("in a handler of its handler ends", "budget|script", [[
    local function handler(e) return xpcall(error, handler, e) end
    while true do xpcall(error, handler) end]])
  try("by a huge string.rep is refused", "script", "return ('x'):rep(1 << 40)")
  try("by string.rep of nothing is not stalled", "value=", "return (''):rep(math.maxinteger)")
  try("by a pattern that goes back ends", "budget",
    "return ('a'):rep(40000):find(('a*'):rep(6) .. 'b')")
  try("by a lazy pattern ends", "budget", "return ('a'):rep(3000):match(('.-'):rep(8) .. 'b')")
  try("by a pattern from every place ends", "budget", "return ('('):rep(100000):match('%b()')")
  try("by a set as long as its subject ends", "budget", [[
    return ('a'):rep(100000):match('[' .. ('b'):rep(100000) .. ']')]])
  try("by references to long captures ends", "budget", [[
    return (('a'):rep(20000) .. 'b'):match('(a*)%1%1%1%1%1c')]])
  try("by gmatch and gsub ends", "budget", [[
    for i = 1, 1e9 do ('a'):rep(2000):gsub('a*a*b', 'x') end]])
  try("by a plain search is not stalled", "value=nil", [[
    return ('a'):rep(500000):find(('a'):rep(200000) .. 'b', 1, true)]])
  try("by table.move over everything ends", "budget", "table.move({}, 1, 1 << 60, 2)")
  try("by a length that lies is not believed", "value=1", [[
    local t = setmetatable({}, { __len = function() return 1 << 60 end })
    table.insert(t, 1, 'x')
    return rawlen(t)]])
  try("by concatenating with a length that lies is not stalled", "value=", [[
    return table.concat(setmetatable({}, { __len = function() return 1 << 40 end,
      __index = function() return 'x' end }))]])
  try("by unpacking everything is refused", "script", "return table.unpack({}, 1, 1 << 30)")
  try("by unpacking the last numbers is refused", "script",
    "return table.unpack({}, math.mininteger, math.maxinteger)")
  try("by sorting with an order that is none ends", "budget|script|value=", [[
    local t = {} for i = 1, 30000 do t[i] = i end
    for _ = 1, 1000 do table.sort(t, function() return true end) end]])
  try("by sorting with a library function ends", "budget", [[
    local t = {} for i = 1, 30000 do t[i] = i end
    for _ = 1, 1000 do table.sort(t, rawequal) end]])
  try("by comparing long strings ends", "budget", [[
    local a, b = ('\0'):rep(1000000) .. 'a', ('\0'):rep(1000000) .. 'b'
    while true do local x = a < b end]])
  try("by sorting long strings ends", "budget", [[
    local t = {} for i = 1, 1000 do t[i] = ('\0'):rep(10000) .. i end
    table.sort(t)]])
  try("by reading a number of a million digits ends", "budget", [[
    local s = ('1'):rep(1000000)
    while true do local n = tonumber(s) or s + 0 end]])
  try("by next over a table of holes ends", "budget", [[
    local t = {} for i = 1, 4000 do t['k' .. i] = 1 end
    for k in pairs(t) do t[k] = nil end
    while true do next(t) end]])
  try("by a million arguments ends", "budget|memory|script", [[
    local function f(...) return select('#', ...) + f(1, ...) end
    return f()]])
  try("by tables that index each other ends", "budget", [[
    local t = {}
    for i = 1, 1900 do t = setmetatable({}, { __index = t }) end
    while true do local x = t.x end]])
  try("by a call that calls itself is refused", "script", [[
    local t = {} return setmetatable(t, { __call = t })()]])
  try("by a call that is changed to itself is not stalled", "value=1", [[
    local t, mt = {}, { __call = function() return 1 end }
    setmetatable(t, mt)
    mt.__call = t
    return t()]])
  try("by utf8 functions ends", "budget", [[
    local s = ('é'):rep(500000)
    while true do utf8.len(s) utf8.offset(s, -1) end]])
  try("by names at the bottom of the parser ends", "budget", (function()
    local names = {}
    for i = 1, 190 do names[i] = "a" .. i end
    local head = "local " .. table.concat(names, ",") .. " "
    local text = head .. ("return function() " .. head):rep(60) .. ("x=x "):rep(50000)
    return text:sub(1, 262144)
  end)())
  try("by labels for the parser ends", "budget|script", (function()
    local parts = {}
    for i = 1, 20000 do parts[i] = "::a" .. i .. "::" end
    return table.concat(parts)
  end)())
  try("as a function that is called again and again ends", "budget", [[
    return function(x) local function f() return pcall(f) end while true do f() end end]])
end)

describe("a script that eats memory", function()
  try("by doubling a string ends", "memory", "local s = 'x' while true do s = s .. s end")
  try("by a string that grows ends", "budget", "local s = 'x' while true do s = s .. 'x' end")
  try("by a list ends", "memory|budget", "local t = {} while true do t[#t + 1] = {} end")
  try("by a chain ends", "memory|budget", "local t while true do t = { t } end")
  try("by many strings ends", "memory|budget",
    "local t = {} for i = 1, math.huge do t[i] = ('x'):rep(1000) .. i end")
  try("and catches the refusal ends", "memory|budget", [[
    local t = {}
    local function eat() while true do t[#t + 1] = ('x'):rep(100000) .. #t end end
    while true do pcall(eat) end]])
  try("and makes the collector run over and over ends", "memory|budget", [[
    local t = {} for i = 1, 60000 do t[i] = { i } end
    while true do pcall(function() local s = {} for i = 1, 20 do s[i] = ('x'):rep(9e5) .. i end end)
    end]])
  try("by recursion ends", "memory|script", "local function f() return 1 + f() end return f()")
  try("by recursion through metamethods ends", "memory|script", [[
    local t = setmetatable({}, { __index = function(t, k) return t[k .. 'x'] end })
    return t.x]])
  try("by recursion through C ends", "memory|script|budget", [[
    local function f() return (('x'):gsub('x', f)) end
    return f()]])
  try("by the texts of functions ends", "memory|budget", [[
    local t = {} for i = 1, 1e9 do t[i] = function() return i end end]])
  try("by format ends", "memory", [[
    local s = ('x'):rep(500000) return ('%s%s%s'):format(s, s, s)]])
  try("by concat ends", "memory|script", [[
    local t = {} for i = 1, 8000 do t[i] = ('x'):rep(1000) end return table.concat(t)]])
  try("by gsub ends", "memory|budget", [[
    return (('x'):rep(10000):gsub('x', ('y'):rep(1000)))]])
  try("and keeps it ends", "memory|budget", [[
    keep = {} for i = 1, 100000 do keep[i] = { i } end return 1]])
end)

describe("a script that breaks things", function()
  try("with parentheses nested too deep", "script", "return " .. ("("):rep(10000))
  try("with tables nested too deep in the text", "script", "return " .. ("{"):rep(10000))
  try("with functions nested too deep", "script", ("return function() "):rep(1000))
  try("with a pattern nested too deep", "script", "return ('a'):rep(500):match(('(a'):rep(300))")
  try("with optional items nested too deep", "script|value=",
    "return ('a'):rep(1000):match(('a?'):rep(1000) .. ('a'):rep(1000)) and ''")
  try("with an error that is a table whose text loops", "script", [[
    error(setmetatable({}, { __tostring = function() while true do end end,
      __index = function() while true do end end }))]])
  try("with an error that is nil", "script", "error(nil)")
  try("with an error that is a function", "script", "error(function() while true do end end)")
  try("with an error of a megabyte", "script", "error(('x'):rep(1000000))")
  try("with a text that makes itself text", "script", [[
    local t = setmetatable({}, {}) local mt = { __tostring = tostring }
    return tostring(setmetatable({}, mt))]])
  try("with malformed patterns", "value=", [[
    for _, p in ipairs { "%", "[", "[^", "[]", "[%", "(", ")", "%b", "%bx", "%f", "%f[", "%1",
      "(()", "%9", "[a-", "[%a-", "^*", "\0[", "(%1)" } do
      for _, f in ipairs { string.find, string.match, string.gsub } do
        pcall(f, "a\0b", p, "%9%")
      end
      pcall(function() for _ in ("abc"):gmatch(p) do end end)
    end
    return ""]])
  try("with numbers at the ends of their range", "value=", [[
    local n = { math.mininteger, math.maxinteger, -1, 0, 1, 0/0, 1/0, -1/0 }
    local s, t = "abc", { 1, 2, 3 }
    for _, a in ipairs(n) do
      for _, b in ipairs(n) do
        pcall(string.sub, s, a, b) pcall(string.byte, s, a, b) pcall(string.find, s, "b", a)
        pcall(string.rep, "", a) pcall(string.gsub, s, "b", "c", a) pcall(string.char, a, b)
        pcall(string.gmatch, s, "b", a) pcall(string.format, "%d %5.3f %c", a, b, a)
        pcall(table.concat, t, ",", a, b) pcall(table.unpack, t, a, b) pcall(select, a, b)
        pcall(table.insert, t, a, b) pcall(table.remove, t, a) pcall(math.random, a, b)
        pcall(utf8.codepoint, s, a, b) pcall(utf8.offset, s, a, b) pcall(utf8.len, s, a, b)
        pcall(utf8.char, a) pcall(tonumber, s, a) pcall(rawset, t, a, b)
        t = { 1, 2, 3 }
      end
    end
    return ""]])
  try("with formats of all kinds", "value=", [[
    for i = 0, 255 do
      for _, f in ipairs { "%", "%99.99", "%-+ #0", "%1000", "%.1000", "%5" } do
        pcall(string.format, f .. string.char(i), i) pcall(string.format, f .. string.char(i), "s")
        pcall(string.format, f .. string.char(i), {}) pcall(string.format, f .. string.char(i))
      end
    end
    return ""]])
  try("while it is sorted or replaced", "value=", [[
    local t = {} for i = 1, 200 do t[i] = 200 - i end
    pcall(table.sort, t, function(a, b) t[#t] = nil t.x = {} return (a or 0) < (b or 0) end)
    pcall(string.gsub, ("x"):rep(200), "x", function() t[#t + 1] = 1 error "x" end)
    for k in pairs(t) do t[k] = nil end
    return ""]])
  try("with names of keys that Lua itself uses", "value=", [[
    local t = setmetatable({}, setmetatable({}, { __index = function() error "x" end }))
    pcall(function() return t + 1 end) pcall(function() t.x = 1 end) pcall(pairs, t)
    return ""]])
end)

describe("a value that bites", function()
  try("as a table in itself", "value", "local t = {} t[1] = t return t")
  try("as tables that unfold without end", "value",
    "local t = {} for _ = 1, 60 do t = { t, t } end return t")
  try("as a table too deep", "value", "local t = {} for _ = 1, 5000 do t = { t } end return t")
  try("as more values than anybody wants", "value|memory",
    "local t = {} for i = 1, 110000 do t[i] = true end return t")
  try("as one long text many times", "value",
    "local s, t = ('x'):rep(1000000), {} for i = 1, 5 do t[i] = s end return t")
  try("as a library function", "value", "return { usage = pcall }")
  try("as a table whose keys are tables", "value", "return { [{ 1 }] = { 2 } }")
  try("as no number", "value=true", [[
    return function() local n = 0 / 0 return n ~= n end]])
  try("as very many values of one call", "value=nil", [[
    return function() return table.unpack({}, 1, 3999) end]])

  it("as an argument does nothing in the host", function()
    local box <close> = assert(core.box())
    local _, hook = box:run "return function(t) t.a.b = 'changed' t.list[1] = nil return t end"
    local given = { a = { b = 1 }, list = { 1 } }
    assert(hook:call(given))
    assert.same({ a = { b = 1 }, list = { 1 } }, given)
  end)

  it("as a table that changes with each reading is read once", function()
    local box <close> = assert(core.box())
    local ok, value = box:run [[
      local n = 0
      return setmetatable({ real = 1 }, { __index = function() n = n + 1 return n end })]]
    assert.is_true(ok)
    assert.same({ real = 1 }, value)
    assert.is_nil(value.anything)
  end)
end)

describe("a script beside others", function()
  local poison = {
    "string.format = nil table.insert = error math.floor = nil utf8.char = nil",
    "tostring = nil pairs = nil setmetatable = function() end keycycle = nil",
    "keycycle.policy = function() return 'poisoned' end keycycle.provider = error",
    "local s = string for k in pairs(s) do s[k] = function() return 'poisoned' end end",
    "rawset(string, 'rep', function() return 'poisoned' end)",
    "pcall(function() getmetatable('').__index = {} end)",
    "pcall(setmetatable, string, { __index = error, __metatable = 1 })",
    "math.randomseed(1)",
  }
  for i, text in ipairs(poison) do
    it("cannot change what they see, number " .. i, function()
      local box <close> = assert(core.box())
      assert(box:run(text, "@poison.lua"))
      local ok, value, kind = box:run([[
        local t = { 2, 1 } table.insert(t, 3) table.sort(t)
        return keycycle.policy { ("x"):rep(2), string.format("%d", 3), math.floor(1.5),
          utf8.char(65), tostring(nil), table.concat(t), getmetatable(string) == nil }]])
      assert(ok, ok or value.message)
      assert.same({ "xx", "3", 1, "A", "nil", "123", true }, value)
      assert.equal("policy", kind)
      check_host()
    end)
  end

  it("cannot say that another's value is its own", function()
    local box <close> = assert(core.box())
    assert(box:run "kept = keycycle.policy {}")
    local _, _, kind = box:run "return kept"
    assert.is_nil(kind)
  end)

  it("does not live on when it ended the box", function()
    local box = assert(core.box())
    local _, hook = box:run "return function() return 1 end"
    local _, evil = box:run "return function() while true do end end"
    assert.equal("budget", select(2, evil:call()).code)
    assert.equal("closed", select(2, hook:call()).code)
    assert.equal("closed", select(2, evil:call()).code)
  end)

  it("is stopped at every call, while it is called", function()
    local scripts, log = require "keycycle.loader.box", require "keycycle.log"
    log.set_sink(function() end)
    local script = assert(scripts.load("return { f = function() while true do end end }", "@e.lua"))
    measure("twenty calls of a loop", function()
      for _ = 1, 20 do assert.is_false(pcall(script.value.f)) end
    end)
    log.set_sink(nil)
  end)
end)

describe("all of them", function()
  it("took what they took", function()
    print(("# the longest: %.1f ms (%s)"):format(worst.seconds * 1e3, worst.name))
  end)
end)
