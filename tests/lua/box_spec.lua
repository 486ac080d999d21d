--- The box from the host's side: what crosses, what a script sees, and how a script lives on
--- when its box ends. tests/lua/escape_spec.lua is about those that try to get out.
local core = require "keycycle.core"
local scripts = require "keycycle.loader.box"
local log = require "keycycle.log"

--- Time enough on any machine: here only instructions count.
local PATIENT = { seconds = 20 }

--- What a text returns in a box of its own.
local function value_of(text, env)
  local box <close> = assert(core.box(PATIENT))
  local ok, value, kind = box:run(text, "@test.lua", env)
  assert(ok, ok or value.message)
  return value, kind
end

local function error_of(text)
  local box <close> = assert(core.box(PATIENT))
  local ok, err = box:run(text, "@test.lua")
  assert.is_false(ok)
  return err
end

--- A box and the function that `text` returns, as one here.
local function function_of(text)
  local box = assert(core.box(PATIENT))
  local ok, hook = box:run(text, "@test.lua")
  assert(ok, ok or hook.message)
  return function(...)
    local got = table.pack(hook:call(...))
    if not got[1] then error(got[2].message, 0) end
    return table.unpack(got, 2, got.n)
  end, box, hook
end

describe("a value that leaves the box", function()
  it("is copied, with its kinds of numbers and keys", function()
    local value = value_of [[return { 1, 2.5, "a\0b", true, { x = { y = -1 } }, [10] = 3.0,
      [1.5] = "f", [false] = "no", [math.mininteger] = math.huge }]]
    assert.same({ 1, 2.5, "a\0b", true, { x = { y = -1 } }, [10] = 3.0, [1.5] = "f",
      [false] = "no", [math.mininteger] = math.huge }, value)
    assert.equal("integer", math.type(value[1]))
    assert.equal("float", math.type(value[10]))
    assert.equal("7", value_of "return '7'")
    assert.is_nil(value_of "local x = 1")
    assert.is_nil(getmetatable(value))
  end)

  it("says what the chunk declared it as", function()
    local value, kind = value_of "return keycycle.provider { name = 'p' }"
    assert.same({ name = "p" }, value)
    assert.equal("provider", kind)
    assert.equal("policy", select(2, value_of "return keycycle.policy {}"))
    assert.equal("limits", select(2, value_of "return keycycle.RateLimits {}"))
    assert.is_nil(select(2, value_of "keycycle.policy {} return {}"))
    assert.is_nil(select(2, value_of "return { keycycle.policy {} }"))
    assert.is_nil(select(2, value_of "return 'policy'"))
    assert.equal("script", error_of("return keycycle.policy(7)").code)
  end)

  it("is read without its metamethods", function()
    assert.same({ a = 1 }, value_of [[return setmetatable({ a = 1 }, {
      __index = function() return 7 end, __pairs = function() return error, 1 end,
      __len = function() return 99 end, __name = "x", __metatable = {} })]])
  end)

  it("unfolds a table that is there twice", function()
    local value = value_of "local t = { 1 } return { t, t }"
    assert.same({ { 1 }, { 1 } }, value)
    assert.are_not.equal(value[1], value[2])
  end)

  it("is refused with the reason where it cannot be copied", function()
    local function refused(text, words)
      local err = error_of(text)
      assert.equal("value", err.code)
      assert.truthy(err.message:find(words, 1, true), err.message)
    end
    refused("local t = {} t.self = t return t", "self: a table contains itself")
    refused("local t = {} for _ = 1, 70 do t = { t } end return t", "more than 64 deep")
    refused("local t = {} for _ = 1, 30 do t = { t, t } end return t",
      "more than 100000 keys and values")
    refused("local s, t = ('x'):rep(500000), {} for i = 1, 20 do t[i] = s end return t", "4 MiB")
    refused("return { f = tostring }", "f: a library function")
    refused("return { [{}] = 1 }", "a key must be")
  end)
end)

describe("a hook", function()
  it("takes and returns any number of values", function()
    local f = function_of "return function(...) return select('#', ...), ... end"
    assert.same({ n = 1, 0 }, table.pack(f()))
    assert.same({ n = 4, 3, nil, { a = { 1 } }, nil }, table.pack(f(nil, { a = { 1 } }, nil)))
    local many = table.pack(f(table.unpack({}, 1, 150)))
    assert.equal(151, many.n)
  end)

  it("gets plain tables for JSON: null is absent, an array has no metatable", function()
    local f = function_of [[return function(t, null)
      return t, null == nil, t.a == nil, getmetatable(t.list) == nil, #t.list end]]
    local body = core.json.decode '{"a":null,"list":[1,2,{"b":null,"c":"d"}]}'
    local back, absent, gone, plain, n = f(body, core.json.null)
    assert.same({ list = { 1, 2, { c = "d" } } }, back)
    assert.same({ true, true, true, 3 }, { absent, gone, plain, n })
  end)

  it("is not given the host's metamethods, nor what cannot be copied", function()
    local _, _, hook = function_of "return function(t) return t end"
    local trap = setmetatable({ x = 1 }, { __index = error, __pairs = error, __len = error })
    local ok, value = hook:call(trap)
    assert.is_true(ok)
    assert.same({ x = 1 }, value)
    local cyclic = {}
    cyclic.me = cyclic
    for _, bad in ipairs { print, cyclic, coroutine.create(print), io.stdout, { [{}] = 1 },
      ("x"):rep(5000000) } do
      local fine, err = hook:call(bad)
      assert.is_false(fine)
      assert.equal("value", err.code)
    end
    assert.is_true(hook:call(1))
  end)

  it("keeps its own variables between calls", function()
    local f = function_of "local n = 0 return function() n = n + 1 return n end"
    f()
    assert.equal(2, f())
  end)

  it("may not return a function", function()
    local _, _, hook = function_of "return function() return function() end end"
    local ok, err = hook:call()
    assert.is_false(ok)
    assert.equal("value", err.code)
  end)

  it("says where its error is", function()
    local _, _, hook = function_of "return function(x)\n\n  return x.y.z end"
    local ok, err = hook:call {}
    assert.is_false(ok)
    assert.same({ "script", "test.lua", 3 }, { err.code, err.file, err.line })
    assert.equal("test.lua:3: attempt to index a nil value (field 'y')", err.message)
    assert.equal("test.lua:1: bad argument #2 to 'format' (number expected, got string)",
      error_of "return string.format('%d', 'x')".message)
  end)

  it("frees its function in the box when it is collected", function()
    local box <close> = assert(core.box(PATIENT))
    assert(box:run "return 1")
    local before = box:spent().memory
    for _ = 1, 60 do
      assert(box:run "local t = {} for i = 1, 1000 do t[i] = i end return function() return t end")
      collectgarbage()
    end
    assert(box:run "for i = 1, 2e4 do local t = {} end")
    assert.is_true(box:spent().memory < before + 400000, box:spent().memory)
  end)

  it("answers closed once its box is, whoever is collected first", function()
    local _, box, hook = function_of "return function() return 1 end"
    assert.is_true(box:is_open())
    box:close()
    box:close()
    local ok, err = hook:call()
    assert.is_false(ok)
    assert.equal("closed", err.code)
    assert.is_false(box:is_open())
    assert.equal("closed", select(2, box:run "return 1").code)
    do local _, _, other = function_of "return function() return 2 end"
      assert.same({ true, 2 }, { other:call() })
    end
    collectgarbage()
  end)
end)

describe("a chunk", function()
  it("has globals of its own, and those it is given", function()
    local box <close> = assert(core.box(PATIENT))
    assert.is_true(box:run "x = 1; string.rep = nil; table.concat = nil; math.pi = 3")
    local _, seen = box:run("return { x or 0, ('a'):rep(2), table.concat { 1 }, math.pi > 3.1, y }",
      "@b.lua", { y = { 7 }, string = nil })
    assert.same({ 0, "aa", "1", true, { 7 } }, seen)
  end)

  it("is refused when it is bytecode, too long or no Lua", function()
    local box <close> = assert(core.box(PATIENT))
    local function refused(text, words)
      local ok, err = box:run(text, "@bad.lua")
      assert.is_false(ok)
      assert.equal("script", err.code)
      assert.truthy(err.message:find(words, 1, true), err.message)
      return err
    end
    refused(string.dump(function() end), "binary chunk")
    refused("return '" .. ("x"):rep(300000) .. "'", "256 KiB")
    refused("local _ENV = {}", "_ENV")
    local err = refused("\n\nx = = 1", "bad.lua:3:")
    assert.same({ "bad.lua", 3 }, { err.file, err.line })
    assert.same({ true, 1 }, { box:run "return 1" })
  end)

  it("whose error is no text is told of by the error's type", function()
    assert.equal("the error is a table", error_of "error {}".message)
    assert.equal("the error is a nil", error_of "error()".message)
    assert.equal("12", error_of "error(12)".message)
    assert.equal("a  [31mb", error_of "error('a\\n\\27[31mb', 0)".message)
    assert.is_true(#error_of "error(('x'):rep(100000))".message < 500)
  end)

  it("sees a decimal point in any locale, and numbers as Lua has them", function()
    assert.same({ "1.5", 1.5, "0x1p+0" }, value_of
      "return { tostring(1.5), tonumber '1.5', ('%a'):format(1) }")
  end)
end)

describe("the box", function()
  it("refuses options that make no sense", function()
    assert.has_error(function() core.box(7) end)
    assert.has_error(function() core.box { memory = 10 } end)
    assert.has_error(function() core.box { budget = -1 } end)
    assert.has_error(function() core.box { seconds = "soon" } end)
    local box, err = core.box { memory = 262144 }
    assert(box, err and err.message)
    box:close()
  end)

  it("counts instructions, and what costs as much", function()
    local box <close> = assert(core.box(PATIENT))
    box:run "for i = 1, 1e4 do end"
    local loop = box:spent().instructions
    assert.is_true(loop > 9000 and loop < 3e4, loop)
    box:run "return (('a'):rep(300):find(('a-'):rep(2) .. 'b'))"
    assert.is_true(box:spent().instructions > 3e4)
  end)

  it("ends a script over its instructions where it stands", function()
    local box = assert(core.box { budget = 5000, seconds = 20 })
    local ok, err = box:run("\nwhile true do end", "@loop.lua")
    assert.is_false(ok)
    assert.same({ "budget", "loop.lua", 2 }, { err.code, err.file, err.line })
    assert.is_false(box:is_open())
  end)

  it("ends a script over its time", function()
    local box = assert(core.box { budget = 2 ^ 50 // 1 | 0, seconds = 0.01 })
    local ok, err = box:run "while true do end"
    assert.is_false(ok)
    assert.equal("budget", err.code)
    assert.truthy(err.message:find("too long", 1, true), err.message)
  end)

  it("ends a script that keeps more than a quarter of the memory", function()
    local box = assert(core.box { memory = 2 ^ 20 | 0, budget = 1e8 | 0, seconds = 10 })
    assert.is_true(box:run "local t = {} for i = 1, 300 do t[i] = { i } end")
    local ok, err = box:run [[
      local t = {} for i = 1, 6000 do t[i] = { i } end return function() return #t end]]
    assert.is_false(ok)
    assert.equal("memory", err.code)
    assert.truthy(err.message:find("keeps", 1, true), err.message)
  end)
end)

describe("the library in the box", function()
  local in_box = function_of [[
    local all = { string = string, table = table, utf8 = utf8 }
    return function(lib, name, ...) return pcall(all[lib][name], ...) end]]

  --- A function of the box answers as the one here does.
  local function same(lib, name, ...)
    local here, there = table.pack(pcall(_G[lib][name], ...)), table.pack(in_box(lib, name, ...))
    for _, got in ipairs { here, there } do -- the function's name is known otherwise
      if not got[1] then got[2] = got[2]:gsub("to '[^']*'", "to it") end
    end
    assert.same(here, there)
  end

  local atoms = { "a", "b", ".", "%a", "%d", "[ab]", "[^a]", "[a-c%d]", "%s", "x", "%.", "[]]",
    "[^]x]", "[a-]", "%W", "[%w_]" }
  local rest = { "()", "(", ")", "%b()", "%f[%a]", "%1", "$", "^", "%", "[", "%f", "%b" }

  it("matches patterns as Lua does #pure", function()
    local seed = 20240117
    local function random(n) -- of its own, so that every run is the same
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed // 65536 % n + 1
    end
    local text = "ab(1x) .]_a"
    local names = { "find", "match", "gsub" }
    for _ = 1, 4000 do
      local p = { random(4) == 1 and "^" or "" }
      for _ = 1, random(5) do
        local suffix = ({ "", "", "*", "+", "-", "?" })[random(6)]
        p[#p + 1] = random(4) == 1 and rest[random(#rest)] or atoms[random(#atoms)] .. suffix
      end
      local s = {}
      for i = 1, random(9) - 1 do
        local at = random(#text)
        s[i] = text:sub(at, at)
      end
      local name = names[random(3)]
      local third = name == "gsub" and ({ "<%0>", "%1", "%%" })[random(3)] or random(5) - 2
      local pattern, subject = table.concat(p), table.concat(s)
      same("string", name, subject, pattern, third)
    end
  end)

  it("has Lua's gmatch and gsub", function()
    local text = [[
      local out = {}
      local function add(...) for _, v in ipairs { ... } do out[#out + 1] = v end end
      for k, v in ("a=1, b=2"):gmatch "(%w+)=(%w+)" do add(k, v) end
      for at in ("abc"):gmatch "()" do add(at) end
      for w in ("xay"):gmatch("%a", 2) do add(w) end
      for w in ("one two"):gmatch "%a*" do add(w) end
      for w in ("^a^a"):gmatch "^a" do add(w) end
      add(("hello world"):gsub("o", { o = "0" }))
      add(("hello"):gsub("l", function(c) return c:upper() end, 1))
      add(("hello"):gsub("", "-"))
      add(("abc"):gsub("%w", "%0%0", 2))
      add(("abc"):gsub("(a)(b)", "%2%1"))
      add(("abc"):gsub("b", function() return false end))
      add(("abc abc"):gsub("^a", 1))
      add(pcall(string.gsub, "abc", "b", "%2"))
      add(pcall(string.gsub, "abc", "b", function() return {} end))
      return out]]
    assert.same(load(text)(), value_of(text))
  end)

  it("trims a thousand bytes with the pattern that everybody uses", function()
    local f = function_of "return function(s) return s:match '^%s*(.-)%s*$' end"
    assert.equal("x", f((" "):rep(500) .. "x" .. (" "):rep(499)))
    assert.equal("", f((" "):rep(1000)))
    assert.equal(("a "):rep(499) .. "a", f(("a "):rep(500)))
  end)

  it("has Lua's string functions", function()
    same("string", "rep", "ab", 3, ",")
    same("string", "rep", "", 1000)
    for n = 1, 9 do same("string", "rep", "abc", n, n % 3 == 0 and "," or nil) end
    same("string", "rep", "", 3, "-")
    same("string", "rep", "x", -1)
    same("string", "byte", "hello", 2, -1)
    same("string", "byte", "hello", -99, 99)
    same("string", "byte", "")
    same("string", "format", "%5.2f|%-5d|%s|%q|%x|%%", 1.234, 7, "a", 'b"\n', 255)
    same("string", "format", "%d", "x")
    same("string", "format", "%d")
    same("string", "sub", "hello", -3, -2)
    same("string", "find", "a.b", ".", 1, true)
    same("string", "find", "abc", "", 10)
    same("string", "find", "abc", "", 4)
    same("utf8", "codepoint", "aé", 1, -1)
    same("utf8", "len", "aé")
    same("utf8", "char", 72, 228)
    assert.same({ "table", "3 x", "hi", "10" }, value_of [[
      local named = setmetatable({}, { __tostring = function() return "hi" end })
      return { tostring {}, ("%d %s"):format(3, "x"), ("%s"):format(named), "5" + 5 .. "" }]])
  end)

  it("has Lua's table functions", function()
    local got = value_of [[
      local t, out = { 5, 3, 9, 1 }, {}
      table.sort(t) out.sorted = table.concat(t, ",")
      table.sort(t, function(a, b) return a > b end) out.down = table.concat(t, ",", 2, 3)
      table.insert(t, 2, 7) table.insert(t, 0) out.inserted = table.concat(t, " ")
      out.removed = table.remove(t, 1) + table.remove(t) out.left = table.concat(t, " ")
      out.empty = table.remove {} == nil
      out.moved = table.concat(table.move({ 1, 2, 3 }, 1, 3, 2), "")
      out.down2 = table.concat(table.move({ 1, 2, 3 }, 2, 3, 1), "")
      out.packed = table.pack(nil, 2, nil).n
      out.unpacked = select("#", table.unpack({}, 1, 3))
      out.words = pcall(table.sort, { 1, "a" })
      return out]]
    assert.same({ sorted = "1,3,5,9", down = "5,3", inserted = "9 7 5 3 1 0", removed = 9,
      left = "7 5 3 1", empty = true, moved = "1123", down2 = "233", packed = 3, unpacked = 3,
      words = false }, got)
    same("table", "concat", { 1, 2.5, "x" }, "-", 2)
    same("table", "concat", {}, "-", 1, 0)
    same("table", "concat", { 1 }, "-", 1, 2)
    same("table", "insert", { 1 }, 9, 1)
    same("table", "unpack", { 1, 2 }, 2)
  end)

  it("sorts a thousand numbers as Lua does #pure", function()
    local list = {}
    for i = 1, 1000 do list[i] = i * 7919 % 1009 end
    local f = function_of "return function(t) table.sort(t) return t end"
    local sorted = f(list)
    table.sort(list)
    assert.same(list, sorted)
  end)

  it("has metatables that stay as they were set", function()
    local got = value_of [[
      local Class = { name = "c" }
      Class.__index = Class
      local object = setmetatable({}, Class)
      function Class.late() return "late" end
      Class.__len = function() return 9 end
      return { object.name, object.late(), getmetatable(object) == Class, #object,
        tostring(getmetatable "x"), pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {}) }
      ]]
    assert.same({ "c", "late", true, 0, "false", false }, { table.unpack(got, 1, 6) })
  end)

  it("catches errors with pcall and xpcall", function()
    assert.same({ false, "E:x", true, 1, 2 }, value_of [[
      local a, b = xpcall(function() error("x", 0) end, function(e) return "E:" .. e end)
      local c, d, e = xpcall(function(...) return ... end, error, 1, 2)
      return { a, b, c, d, e }]])
  end)

  it("has random numbers of the chunk's own", function()
    local box <close> = assert(core.box(PATIENT))
    local draw = "local t = {} for i = 1, 4 do t[i] = math.random(1 << 40) end return t"
    local _, a = box:run("math.randomseed(7) " .. draw)
    local _, b = box:run(draw)
    local _, c = box:run("math.randomseed(7) " .. draw)
    assert.same(a, c)
    assert.are_not.same(a, b)
    assert.is_nil(value_of "return math.randomseed(1, 2)")
  end)
end)

describe("the built-in files", function()
  it("run in the box as they do outside, and give the same data #pure", function()
    local builtin = require "keycycle.loader.builtin"
    local folders = { provider = "providers", policy = "policies", limits = "limits" }
    local function same(given, there, path)
      if type(given) == "table" then
        for key, item in pairs(given) do same(item, there[key], path .. "." .. tostring(key)) end
      elseif given ~= false or there ~= nil then -- a provider may take out what it inherits
        assert.equal(type(given), type(there), path)
        if type(given) ~= "function" then assert.equal(given, there, path) end
      end
    end
    local seen = 0
    for kind, folder in pairs(folders) do
      for _, name in ipairs(builtin.names(kind)) do
        local path = ("lua/keycycle/%s/%s.lua"):format(folder, name)
        local file <close> = assert(io.open(path))
        local script, err = scripts.load(file:read "a", "@" .. path)
        assert(script, err and err.message)
        if kind ~= "limits" then assert.equal(kind, script.kind, path) end
        same(script.value, builtin.get(kind, name), path)
        seen = seen + 1
      end
    end
    assert.is_true(seen > 3)
  end)
end)

describe("a script that is loaded", function()
  local lines
  before_each(function()
    lines = {}
    log.set_sink(function(_, line) lines[#lines + 1] = line end)
  end)
  after_each(function() log.set_sink(nil) end)

  local function load(text, name)
    local script, err = scripts.load(text, name or "@script.lua")
    assert(script, err and err.message)
    return script
  end

  it("is plain data and functions", function()
    local script = load [[return keycycle.policy { name = "p", deep = { { f = function(x)
      return x * 2, "s" end } }, decide = function(failure) return failure.kind end }]]
    assert.equal("policy", script.kind)
    assert.equal("p", script.value.name)
    assert.equal("quota", script.value.decide { kind = "quota" })
    assert.same({ 8, "s" }, { script.value.deep[1].f(4) })
  end)

  it("is refused with file and line", function()
    local script, err = scripts.load("return\n  nothing.at.all", "@policies/bad.lua")
    assert.is_nil(script)
    assert.same({ "script", "policies/bad.lua", 2 }, { err.code, err.file, err.line })
    local _, deep = scripts.load("return " .. ("("):rep(5000), "@deep.lua")
    assert.equal("deep.lua", deep.file)
  end)

  it("raises its errors as text", function()
    local script = load "return { f = function() error 'no' end }"
    local ok, message = pcall(script.value.f)
    assert.is_false(ok)
    assert.equal("script.lua:1: no", message)
    assert.same({}, lines)
  end)

  it("does not notice that another one has ended the box", function()
    local good = load "local n = 0 return { f = function(x) n = n + 1 return x, n end }"
    assert.same({ 5, 1 }, { good.value.f(5) })
    local bad = load("return { f = function() while true do end end }", "@bad.lua")
    assert.is_false(pcall(bad.value.f))
    assert.same({ 6, 1 }, { good.value.f(6) })
    assert.same({ 7, 2 }, { good.value.f(7) })
    assert.same({}, lines)
  end)

  it("is not called any more after three breaches in a row", function()
    local text = [[local bad = true
      return { f = function(really) while really do end return 1 end }]]
    local script = load(text)
    for _ = 1, 2 do assert.is_false(pcall(script.value.f, true)) end
    assert.equal(1, script.value.f(false))
    for _ = 1, 3 do
      local ok, message = pcall(script.value.f, true)
      assert.is_false(ok)
      assert.truthy(message:find("ran for too", 1, true), message)
    end
    local ok, message = pcall(script.value.f, false)
    assert.is_false(ok)
    assert.truthy(message:find("not called any more", 1, true), message)
    assert.equal(1, #lines)
    assert.truthy(lines[1]:find("script.lua: its f is not called any more", 1, true), lines[1])
    assert.equal(1, load(text).value.f(false))
  end)

  it("is not called any more after ten in all", function()
    local script = load "return { f = function(really) while really do end return 1 end }"
    for i = 1, 10 do
      assert.is_false(pcall(script.value.f, true))
      if i < 10 then assert.equal(1, script.value.f(false)) end
    end
    local ok, message = pcall(script.value.f, false)
    assert.is_false(ok)
    assert.truthy(message:find("not called any more", 1, true), message)
    assert.equal(1, #lines)
  end)

  it("raises when its text gives another value in a new box", function()
    local fickle = load "return { [math.random(1 << 60)] = function() return 1 end }"
    local _, f = next(fickle.value)
    assert.equal(1, f())
    local bad = load "return { f = function() while true do end end }"
    assert.is_false(pcall(bad.value.f))
    local ok, message = pcall(f)
    assert.is_false(ok)
    assert.truthy(message:find("not there any more", 1, true), message)
  end)

  it("cannot reach another one's variables or functions", function()
    local a = load "secret = 'a' string.format = nil return { f = function() return secret end }"
    local b = load [[return { f = function() return secret, ("%d"):format(3),
      string.format("%d", 4) end }]]
    assert.same({ nil, "3", "4", n = 3 }, table.pack(b.value.f()))
    assert.equal("a", a.value.f())
  end)
end)
