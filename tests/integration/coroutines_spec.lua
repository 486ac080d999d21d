--- The program's coroutines, which signals can stop, beside those of the stock Lua.
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local PROGRAM = [[
local function tell(...)
  local list = table.pack(...)
  for i = 1, list.n do list[i] = tostring(list[i]):gsub("0x%x+", "PLACE") end
  print(table.concat(list, "\t"))
end
local function closer(fn)
  fn = fn or function() end
  return setmetatable({}, { __close = function(_, err) tell("closing", err) fn() end })
end
local create, resume, wrap, yield = coroutine.create, coroutine.resume, coroutine.wrap,
  coroutine.yield

-- What comes and goes; who is dead, and who runs.
local co = create(function(...) tell(...) tell(yield(1, nil)) error { 1 } end)
tell(resume(co, 1, nil, 3))
tell(coroutine.status(co), resume(co, "a", nil))
tell(coroutine.status(co), resume(co))
tell(coroutine.close(co))
tell(resume(coroutine.running()))
tell(wrap(function() return coroutine.isyieldable(), coroutine.running() end)())
local self
self = wrap(function() return self() end)
tell(pcall(self))
local once = wrap(function() return "once" end)
tell(once())
tell(pcall(once))
for a, b in wrap(function() for i = 1, 3 do yield(i, i * i) end end) do tell(a, b) end

-- Errors, with their places; what is to be closed.
tell(pcall(wrap(function() error "placed" end)))
tell(pcall(wrap(function() error("bare", 0) end)))
tell(pcall(wrap(function() error() end)))
tell(xpcall(wrap(function() error "handled" end), function(m) return "handler: " .. m end))
local deep
deep = function(n) if n == 0 then error "bottom" end wrap(deep)(n - 1) end
tell(pcall(deep, 5))
tell(pcall(wrap(function() local c <close> = closer() error "boom" end)))
local second = function() error "second" end
tell(pcall(wrap(function() local c <close> = closer(second) error "boom" end)))
tell(pcall(wrap(function() local c <close> = closer(function() yield "closing" end) error "x" end)))
co = create(function() local c <close> = closer() yield(1) end)
tell(resume(co))
tell(coroutine.close(co), coroutine.status(co))
co = create(function() error "kept" end)
resume(co)
tell(debug.traceback(co))

-- Across other functions; too much for a stack.
co = create(function() return pcall(function() return yield(1) end) end)
tell(resume(co))
tell(resume(co, "a", "b"))
tell(pcall(string.gsub, "abc", ".", wrap(function(c) while true do c = yield(c:upper()) end end)))
tell(select("#", resume(create(function() return table.unpack({}, 1, 990000) end))))
tell(pcall(resume, create(function() end), table.unpack({}, 1, 500000)))
tell((pcall(wrap(function() return table.unpack({}, 1, 990000) end))))
local count = 0
co = create(function() for _ = 1, 100 do end yield() for _ = 1, 100 do end end)
debug.sethook(co, function() count = count + 1 end, "", 10)
resume(co)
local before = count
resume(co)
tell(before > 0, count > before)
]]

describe("coroutines", function()
  it("behave in the program as they do in Lua", function()
    files.with(PROGRAM, function(path)
      local function run(lua)
        local pipe <close> = assert(io.popen(lua .. " " .. path .. " 2>&1"))
        return pipe:read "a"
      end
      local stock = run "lua5.4"
      assert.truthy(stock:find("bottom.*\ntrue\ttrue\n$"), stock)
      assert.equal(stock, run(servers.path() .. "/keycycle"))
    end)
  end)
end)
