--- The pages for those who write adapters and for those who embed the library: every block
--- runs as it is printed, but for the ports of the servers, which are the test's.
local blocks = require "tests.support.blocks"
local files = require "tests.support.files"
local servers = require "tests.support.servers"

local ADAPTERS = "lua/keycycle/providers/README.md"

-- Runs the page's Lua in a host of its own; arguments: page, folder, then text and what
-- stands in its place, in turn.
local RUN = [[
package.path = "./?.lua;" .. package.path
local page, folder = ...
local changes = { select(3, ...) }
local function edit(text)
  for i = 1, #changes, 2 do
    local at, stop = 1, 0
    repeat
      at, stop = text:find(changes[i], at, true)
      if at then
        text = text:sub(1, at - 1) .. changes[i + 1] .. text:sub(stop + 1)
        at = at + #changes[i + 1]
      end
    until not at
  end
  return text
end
print(require("tests.support.blocks").run_page(page, folder, edit))
]]

local function run_page(page, folder, changes)
  local args = { page, folder }
  for _, change in ipairs(changes) do
    args[#args + 1] = ("'%s' '%s'"):format(change[1], change[2])
  end
  local home <const> = folder .. "/home"
  return servers.host(RUN, table.concat(args, " "), ("HOME=%s XDG_CONFIG_HOME="):format(home))
end

local function of_language(path, language)
  local list = {}
  for _, block in ipairs(blocks.read(path)) do
    if block.language == language then list[#list + 1] = block end
  end
  return list
end

describe("the page for adapter authors", function()
  local openai, cohere, folder, remove
  setup(function()
    openai = servers.mock "--rpm 5 --keys acme-key-1,acme-key-2"
    cohere = servers.mock "--style cohere --rpm 3 --keys umbra-key-1,umbra-key-2"
    folder, remove = files.folder()
  end)
  teardown(function()
    openai.stop()
    cohere.stop()
    remove()
  end)

  it("runs from its first block to its last", function()
    local out, rc = run_page(ADAPTERS, folder, { { "http://127.0.0.1:8099", openai.root },
      { "http://127.0.0.1:8097", cohere.root },
      { 'keycycle.load "scripts"', ('keycycle.load "%s"'):format(folder) } })
    assert.equal(0, rc, out)
    local run, written = out:match "(%d+)%s+(%d+)\n$"
    assert.equal(#of_language(ADAPTERS, "lua"), run + written)
    assert.equal(4, tonumber(written))
  end)

  it("has a whole example of at most forty lines", function()
    for _, block in ipairs(of_language(ADAPTERS, "lua")) do
      local _, lines = block.text:gsub("\n", "")
      if blocks.file_name(block) then assert.is_true(lines <= 41, blocks.place(block)) end
    end
  end)

  it("names commands and options that there are", function()
    local help = io.popen(servers.build .. "/keycycle mock --help"):read "a"
    for _, block in ipairs(of_language(ADAPTERS, "sh")) do
      assert.truthy(block.text:find "^keycycle mock ", blocks.place(block))
      for option in block.text:gmatch "%-%-[%w-]+" do
        assert.truthy(help:find(option, 1, true), option)
      end
    end
  end)
end)
