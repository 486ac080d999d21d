--- Reads the annotations for editors, `lua/keycycle/meta/*.lua`: the tests compare them with
--- the module, and `make docs` makes pages of them.
local annotations = {}

-- A type ends at a blank that is in no bracket and does not join two halves of one:
-- "fun(a: T): U text", "A|B text", "{ a: T, b: U } text".
local function type_end(text)
  local at, depth = 1, 0
  while at <= #text do
    local c = text:sub(at, at)
    if c == '"' then at = text:find('"', at + 1, true) or #text end
    if c:find "[%({%[<]" then depth = depth + 1 end
    if c:find "[%)}%]>]" then depth = depth - 1 end
    if c == " " and depth == 0 and not text:sub(1, at - 1):find "[:|,]%s*$" then return at end
    at = at + 1
  end
  return #text + 1
end

--- A type and the words behind it.
---@param text string
---@return string type, string words
function annotations.split_type(text)
  local stop = type_end(text)
  return text:sub(1, stop - 1), text:sub(stop + 1)
end

local tags = {}

function tags.class(block, rest)
  local name, parents = rest:match "^([%w_.]+)<?[%w_, ]*>?:?%s*(.*)$"
  block.class = { name = name, parents = {}, fields = {} }
  for parent in parents:gmatch "[%w_.]+" do table.insert(block.class.parents, parent) end
end

function tags.field(block, rest)
  local name, optional, after = rest:match "^([%w_]+)(%??)%s+(.*)$"
  if not name then -- "[string] any"
    name, after = rest:match "^(%b[])%s+(.*)$"
    optional = ""
  end
  local kind, words = annotations.split_type(after)
  table.insert(block.class.fields,
    { name = name, optional = optional == "?", type = kind, text = words })
end

function tags.alias(block, rest)
  local name, kind = rest:match "^([%w_.]+)%s*(.*)$"
  block.alias = { name = name, type = kind, values = {} }
end

function tags.param(block, rest)
  local name, optional, after = rest:match "^([%w_.]+)(%??)%s+(.*)$"
  local kind, words = annotations.split_type(after)
  table.insert(block.params, { name = name, optional = optional == "?", type = kind, text = words })
end

tags["return"] = function(block, rest)
  local kind, words = annotations.split_type(rest)
  table.insert(block.returns, { type = kind, text = words })
end

function tags.type(block, rest) block.type = rest end
function tags.overload(block, rest) table.insert(block.overloads, rest) end
function tags.private(block) block.private = true end
function tags.generic() end
function tags.meta() end

local function new_block()
  return { words = {}, params = {}, returns = {}, overloads = {} }
end

local function take_comment(block, line, where)
  local tag, rest = line:match "^%-%-%-@(%w+)%s*(.*)$"
  if tag then
    local read = tags[tag] or error(("%s: unknown tag @%s"):format(where, tag), 0)
    read(block, rest)
    return
  end
  local value = line:match "^%-%-%-|%s*(.-)%s*$"
  if value then
    local before, words = value:match "^(.-)%s+#%s+(.*)$"
    table.insert(block.alias.values, { value = before or value, text = words or "" })
  else
    table.insert(block.words, (line:match "^%-%-%- ?(.*)$"))
  end
end

-- What a line that is no comment makes of the block above it.
local function take_code(file, variables, block, line)
  local owner, mark, name, params = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%) end$"
  if owner then
    return { kind = "function", of = variables[owner], name = name, method = mark == ":",
      arguments = params }
  end
  local variable = line:match "^local ([%w_]+) = {}$"
  if variable and block.class then variables[variable] = block.class.name end
  owner, name = line:match "^([%w_]+)%.([%w_]+) = "
  if owner then return { kind = "value", of = variables[owner], name = name, type = block.type } end
  name = line:match "^([%w_]+) = {}$"
  if name then return { kind = "global", name = name, type = block.type } end
  if line:find "^return" or variable then return nil end
  error(("%s: what is this: %s"):format(file.path, line), 0)
end

local function end_block(file, variables, block, line)
  local item = line and take_code(file, variables, block, line)
  if not item and block.class then
    item = { kind = "class", name = block.class.name, class = block.class }
  elseif not item and block.alias then
    item = { kind = "alias", name = block.alias.name, alias = block.alias }
  elseif not item then
    if not file.text and #block.words > 0 then file.text = table.concat(block.words, "\n") end
    return
  end
  item.text = table.concat(block.words, "\n")
  item.params, item.returns, item.overloads = block.params, block.returns, block.overloads
  item.private = block.private
  if block.class and item.kind ~= "class" then item.class = block.class end
  table.insert(file.items, item)
end

--- The annotations of one file: `{ path, name, text, items }`; an item is a class, an alias, a
--- function, a value or a global, with its comment.
---@param path string
function annotations.read(path)
  local file = { path = path, name = path:match "([^/]+)%.lua$", items = {} }
  local variables, block, n = {}, new_block(), 0
  for line in io.lines(path) do
    n = n + 1
    if line:find "^%-%-%-" then
      take_comment(block, line, ("%s:%d"):format(path, n))
    else
      end_block(file, variables, block, line ~= "" and line or nil)
      block = new_block()
    end
  end
  end_block(file, variables, block, nil)
  return file
end

--- The annotations of the public module, file by file, in the order of their names: those
--- that begin with `---@meta keycycle` or, for a part of it, `---@meta _`. The others are of
--- modules that are not for programs.
---@param folder string
---@return table[] files
function annotations.of_module(folder)
  local files = {}
  local pipe <close> = assert(io.popen(("LC_ALL=C ls '%s'"):format(folder)))
  for name in pipe:lines() do
    local path = folder .. "/" .. name
    local file <close> = assert(io.open(path))
    local of = file:read "l":match "^%-%-%-@meta (%S+)$"
    if of == "keycycle" or of == "_" then files[#files + 1] = annotations.read(path) end
  end
  return files
end

local function add_to(classes, item)
  if item.class then
    local class = classes[item.class.name] or { name = item.class.name, parents = {}, members = {} }
    classes[item.class.name] = class
    for _, parent in ipairs(item.class.parents) do table.insert(class.parents, parent) end
    for _, field in ipairs(item.class.fields) do
      class.members[field.name] = { kind = "field", type = field.type, optional = field.optional }
    end
  end
  if item.of then
    local class = classes[item.of]
    class.members[item.name] = { kind = item.kind, type = item.type, private = item.private,
      params = item.params }
  end
end

--- The classes of some files by name: `{ name, parents, members }`, with a member by its name
--- as `{ kind = "field"|"function"|"value", type, optional, params }`.
---@param files table list, as `read` makes them
function annotations.classes(files)
  local classes = {}
  for _, file in ipairs(files) do
    for _, item in ipairs(file.items) do add_to(classes, item) end
  end
  return classes
end

--- The members of a class and of those above it.
---@param classes table
---@param name string
---@return table by_name
function annotations.members(classes, name)
  local class = classes[name] or error("no class " .. name, 2)
  local all = {}
  for _, parent in ipairs(class.parents) do
    for k, v in pairs(annotations.members(classes, parent)) do all[k] = v end
  end
  for k, v in pairs(class.members) do all[k] = v end
  return all
end

return annotations
