--- Every code block of README.md, as it stands there and in its order, in a folder of its
--- own. What it sends to real providers reaches mocks: names and ports are bent below
--- libcurl (see elsewhere.c), TLS and all else is as ever.
local blocks = require "tests.support.blocks"
local servers = require "tests.support.servers"

local PAGE = "README.md"
local KEYS = { "sk-mock-aaaaaaaaaaaaaaaa-01", "sk-mock-bbbbbbbbbbbbabc123" }

-- Other specs run these, by their first lines.
local elsewhere = {
  ["a loop of frames"] = "tests/integration/loops_spec.lua",
  ["in a cqueue"] = "tests/integration/loops_spec.lua",
  ["beside luv"] = "tests/integration/loops_spec.lua",
  ["usage in a save game"] = "tests/lua/store_spec.lua",
}

-- What a reader has beside the keys of the page's .env.
local MORE = ("GROQ_API_KEY_1=%s ANTHROPIC_API_KEY_1=%s COHERE_API_KEY_1=%s")
  :format(KEYS[1], KEYS[1], KEYS[1])

-- In the place of lua-openai, which no distribution has: its interface.
local OPENAI = [[
local client = require "tests.fixtures.clients.positional"
client.api_base = "https://api.openai.com/v1"
return client
]]

-- What is around a block of C.
local FRAME = [[
#include <lauxlib.h>
#include <lua.h>
#include "keycycle.h"
extern int running;
void draw(void);
void frames(lua_State *L);
void frames(lua_State *L)
{
%s
}
]]

local hosts = { ["api.openai.com"] = "openai", ["api.anthropic.com"] = "anthropic",
  ["api.groq.com"] = "groq", ["api.cohere.com"] = "cohere" }

local CONF = [[
daemon on; worker_processes 1; pid %s/pid; error_log %s/error.log warn;
events { worker_connections 512; }
http {
  access_log off; proxy_buffering off;
  client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;
  uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem;
  map $host $mock { BACKENDS }
  server { listen 127.0.0.1:PORT ssl; location / { proxy_pass $mock; } }
}
]]

local dir, root, port, mocks, mine

local function sh(fmt, ...)
  local command = fmt:format(...)
  assert(os.execute(command .. " >/dev/null 2>&1"), command)
end

local function write(name, text)
  local file <close> = assert(io.open(dir .. "/" .. name, "w"))
  file:write(text)
end

local function names_of_hosts(format)
  local list = {}
  for host in pairs(hosts) do list[#list + 1] = format:format(host) end
  return table.concat(list, ",")
end

-- Runs a text with `program` in the folder; what it prints, and whether it went well.
local function run(program, text)
  write("run", text)
  local pipe = assert(io.popen(([[cd %s && env -i HOME=%s PATH="%s:$PATH:/usr/bin:/bin" ]]
    .. [[SSL_CERT_FILE=%s/cert.pem KEYCYCLE_HTTPS_PORT=%d ]]
    .. [[LD_PRELOAD=%s/tests/support/elsewhere.so ]]
    .. [[LUA_PATH="./?.lua;%s/?.lua;;" %s %s run 2>&1]]):format(dir, dir, servers.path(), dir,
    port, servers.path(), root, MORE, program)))
  local said = pipe:read "a"
  return said, pipe:close()
end

setup(function()
  dir = os.tmpname()
  os.remove(dir)
  sh("mkdir %s", dir)
  local pwd <close> = assert(io.popen "pwd")
  root, port, mocks = pwd:read "l", servers.free_port(), {}
  local backends = {}
  for host, style in pairs(hosts) do
    local mock = servers.mock(("--style %s --keys %s"):format(style, table.concat(KEYS, ",")))
    mocks[#mocks + 1] = mock
    backends[#backends + 1] = ("%s %s;"):format(host, mock.root)
  end
  sh("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout %s/key.pem -out %s/cert.pem"
    .. " -subj /CN=mocks -addext subjectAltName=%s", dir, dir, names_of_hosts "DNS:%s")
  write("nginx.conf", CONF:gsub("%%s", dir):gsub("BACKENDS", table.concat(backends, " "))
    :gsub("PORT", port))
  sh("PATH=$PATH:/usr/sbin nginx -p %s -c %s/nginx.conf", dir, dir)
end)

teardown(function()
  if mine then mine.stop() end
  for _, mock in ipairs(mocks) do mock.stop() end
  sh("PATH=$PATH:/usr/sbin nginx -p %s -c %s/nginx.conf -s stop", dir, dir)
  sh("rm -rf %s", dir)
end)

describe("the blocks of README.md #plain", function()
  it("are of languages that are run here, or samples of what is printed", function()
    for _, block in ipairs(blocks.read(PAGE)) do
      assert.truthy(({ sh = true, lua = true, c = true, text = true })[block.language],
        ("line %d: %q"):format(block.line, block.language))
      assert.falsy(block.language ~= "text" and block.text:find "…%s*[,)}]",
        ("line %d leaves something out"):format(block.line))
    end
  end)

  it("are in the specs that are said to run them", function()
    for name, spec in pairs(elsewhere) do
      local file <close> = assert(io.open(spec))
      assert.truthy(file:read "a":find(name, 1, true), name)
      blocks.named(PAGE, name)
    end
  end)

  it("of the shell do what they say", function()
    local ran = {}
    write("openai.lua", OPENAI)
    write("hello.lua", blocks.of(PAGE, "lua")[1].text)
    for _, block in ipairs(blocks.of(PAGE, "sh")) do
      local text = block.text:gsub("your first key", KEYS[1]):gsub("your second key", KEYS[2])
      if text:find "make test" then
        -- `make test` is what runs this.
        for target in text:gmatch "make (%w+)" do
          sh("grep -q '^%s[ a-z]*:' Makefile", target)
        end
      elseif text:find "keycycle mock" then
        local options = text:match "keycycle mock (.-) &\n":gsub("%-%-port %d+ ", "")
        mine = servers.mock(options)
      else
        local go = text:find "^make" and "cd " .. root .. "\n" or ""
        local said, ok = run("bash -e", go .. text)
        assert.truthy(ok, ("line %d: %s"):format(block.line, said))
        ran[#ran + 1] = said
      end
    end
    assert.truthy(table.concat(ran):find "You said", "the script has had its answers")
  end)

  it("of C compile", function()
    for _, block in ipairs(blocks.of(PAGE, "c")) do
      write("block.c", FRAME:format(block.text))
      sh("cc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I%s/src $(pkg-config --cflags lua5.4)"
        .. " %s/block.c", root, dir)
    end
  end)

  it("of Lua run one after the other", function()
    local here = blocks.of(PAGE, "lua", function(block) return not elsewhere[block.name] end)
    local text = blocks.join(here):gsub("http://127.0.0.1:8099/v1", mine.url)
    local said, ok = run("keycycle", text)
    assert.truthy(ok, said)
    assert.truthy(said:find "You said", said)
  end)
end)
