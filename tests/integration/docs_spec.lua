--- The pages that `make docs` makes: all of the interface is on them, and their links lead
--- somewhere.
local files = require "tests.support.files"
local meta = require "tests.support.meta"

local function read(path)
  local file <close> = assert(io.open(path), path)
  return file:read "a"
end

local function output(command)
  local pipe <close> = assert(io.popen(("( %s ) 2>&1; echo \"rc=$?\""):format(command)))
  local text, rc = pipe:read "a":match "^(.*)rc=(%d+)\n$"
  return text, tonumber(rc)
end

local function lines(text)
  return text:gmatch "[^\n]+"
end

local folder, remove
setup(function() folder, remove = files.folder() end)
teardown(function() remove() end)

describe("what LDoc is given", function()
  it("has every class and every function of the annotations", function()
    local said, rc = output("lua5.4 lua/docs/pages.lua " .. folder)
    assert.equal(0, rc, said)
    for _, file in ipairs(meta.files()) do
      local text = read(("%s/%s.lua"):format(folder, file.name))
      for _, item in ipairs(file.items) do
        local name = item.name:gsub("^keycycle%.", ""):gsub("%p", "%%%0")
        if item.kind == "function" and not item.private then
          assert.truthy(text:find("\nfunction [%w_.]+[.:]" .. name .. "%("), item.name)
        elseif item.kind == "class" and item.name ~= "keycycle" or item.kind == "alias" then
          assert.truthy(text:find("%-%- @%l+ " .. name .. "\n"), item.name)
        end
      end
    end
  end)

  it("has the header whole", function()
    assert.truthy(read(folder .. "/header.md"):find(read "src/keycycle.h", 1, true))
  end)
end)

describe("make docs", function()
  it("warns of nothing, and its links lead to what is there", function()
    local has = "command -v ldoc >/dev/null && lua5.1 -e 'require \"discount\"' 2>/dev/null"
    if not os.execute(has) then
      pending "LDoc and discount are not here: make docs brings them"
      return
    end
    local said, rc = output("lua/docs/build.sh " .. folder)
    assert.equal(0, rc, said)
    local texts, seen = {}, 0
    for path in lines((output(("find %s/docs -name '*.html'"):format(folder)))) do
      texts[path] = read(path)
    end
    for path, text in pairs(texts) do
      local here = path:match "^(.*)/"
      for link in text:gmatch 'href="([^"]+)"' do
        local target, mark = link:match "^([^#]*)#?(.*)$"
        if not link:find "^%a+:" and not target:find "%.css$" then
          local to = target == "" and path or (here .. "/" .. target):gsub("/[^/]+/%.%./", "/")
          assert.truthy(texts[to], path .. " leads to " .. link)
          local name = ('name *= *"%s"'):format(mark:gsub("%p", "%%%0"))
          assert.truthy(mark == "" or texts[to]:find(name), path .. " leads to " .. link)
          seen = seen + 1
        end
      end
    end
    assert.is_true(seen > 1000, seen .. " links")
  end)
end)
