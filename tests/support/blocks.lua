--- The fenced blocks of a page of Markdown, and how a spec runs them.
---
--- A page is one program: its blocks are run in order, and what one defines at its outermost
--- level (`local x = …` at the begin of a line) the next ones may use. A Lua block whose first
--- line is a file's name, `-- providers/acme.lua`, is that file.
local blocks = {}

--- The blocks of a page: a list of `{ path, line, heading, language, text }`; line is that of
--- the fence, heading the last one above it, language "" where none is named.
---@param path string
function blocks.read(path)
  local list, n, heading, open = {}, 0, "", nil
  for line in io.lines(path) do
    n = n + 1
    local fence = line:match "^```(.*)$"
    if fence and open then
      open.text = table.concat(open.lines, "\n") .. "\n"
      open.lines, list[#list + 1], open = nil, open, nil
    elseif fence then
      open = { path = path, line = n, heading = heading, language = fence, lines = {} }
    elseif open then
      open.lines[#open.lines + 1] = line
    else
      heading = line:match "^#+%s+(.*)$" or heading
    end
  end
  assert(not open, path .. ": a block has no end")
  return list
end

--- Where a block is, for a message.
function blocks.place(block)
  return ("%s:%d (%s)"):format(block.path, block.line, block.heading)
end

--- The name of the file that a block is; nil: it is none. In Lua `-- name.lua`, in C
--- `/* name.c */`.
function blocks.file_name(block)
  return block.text:match "^%-%- ([%w_./-]+%.%w+)\n" or block.text:match "^/%* ([%w_./-]+%.%w+) %*/\n"
end

-- `local x <close> = …` of the outermost level becomes `x = …`, which the page keeps.
local function opened(text)
  local out = {}
  for line in text:gmatch "[^\n]*\n" do
    line = line:gsub("^local function ", "function ")
    local names, rest = line:match "^local ([%w_, ]-)%s*(=.*)$"
    if not names then names, rest = line:match "^local ([%w_, <>]-)%s*(=.*)$" end
    if names then line = names:gsub("%s*<%a+>", "") .. " " .. rest end
    out[#out + 1] = line
  end
  return table.concat(out)
end

--- What a page's blocks have in common: an environment of their own on top of the usual one.
---@param given? table what they may use without having defined it
function blocks.page(given)
  return setmetatable(given or {}, { __index = _G })
end

--- Runs a Lua block on a page. Its errors name the page and the line.
---@param block table
---@param page table of blocks.page
---@param edit? fun(text: string): string what is changed before it is run: a port, say
---@return any ... what it returns
function blocks.run(block, page, edit)
  local text = opened(block.text)
  if edit then text = edit(text) end
  -- Lines are counted from the page's begin.
  local chunk = assert(load(("\n"):rep(block.line) .. text, "@" .. block.path, "t", page))
  return chunk()
end

--- Closes what a page's blocks left open: all that has `__close`, in any order.
function blocks.close(page)
  for _, value in pairs(page) do
    local mt = getmetatable(value)
    local close = type(mt) == "table" and mt.__close
    if close then close(value) end
  end
end

local function put(path, text)
  assert(os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/")))
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

--- Runs all Lua blocks of a page, those that are files being written into `folder` when they
--- are reached: how many there were of both kinds.
---@param path string
---@param folder string
---@param edit? fun(text: string): string
---@return integer run, integer written
function blocks.run_page(path, folder, edit)
  local page, run, written = blocks.page {}, 0, 0
  for _, block in ipairs(blocks.read(path)) do
    local name = block.language == "lua" and blocks.file_name(block)
    if name then
      put(folder .. "/" .. name, edit and edit(block.text) or block.text)
      written = written + 1
    elseif block.language == "lua" then
      blocks.run(block, page, edit)
      run = run + 1
    end
  end
  blocks.close(page)
  return run, written
end

-- Whether C stands at the outermost level of a file, or inside of a function.
local function is_file(text)
  return text:find "#include" ~= nil or ("\n" .. text):find "\n[%a_][%w_ *]*%b()%s*\n?{" ~= nil
end

--- The C file that a block is: itself, or a function around it, behind what it needs.
---@param block table
---@param context? { before: string?, within: string? } declarations before the function, and
--- at its begin; `lua_State *L` is its parameter
function blocks.c_file(block, context)
  context = context or {}
  local line = ("#line %d \"%s\"\n"):format(block.line + 1, block.path)
  local head = "#include <lauxlib.h>\n#include <lualib.h>\n#include <poll.h>\n#include <stdbool.h>\n"
    .. "#include <stdio.h>\n#include <string.h>\n#include <keycycle.h>\n" .. (context.before or "")
  if is_file(block.text) then
    return (block.text:find "#include" and "" or head) .. line .. block.text
  end
  return head .. "void block(lua_State *L);\nvoid block(lua_State *L)\n{\n(void)L;\n"
    .. (context.within or "") .. line .. block.text .. "}\n"
end

return blocks
