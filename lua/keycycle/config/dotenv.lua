--- Reads `.env` files: `NAME=value` lines with the usual rules.
---
--- Quotes (single: as it is; double: \n, \t, \", \\, \$), `export`, comments,
--- `${NAME}` from the real environment first, then from the lines above; a `$`
--- without a brace is itself. The process's environment is only read.
local dotenv = {}

local escapes = { n = "\n", r = "\r", t = "\t" }

local function expand(text, lookup)
  return (text:gsub("%${([%a_][%w_]*)}", function(name) return lookup(name) or "" end))
end

-- A double-quoted value from the byte after the quote: text, and where it ends.
local function double_quoted(text, from, lookup)
  local parts, i, plain = {}, from, from
  local function take(upto)
    parts[#parts + 1] = expand(text:sub(plain, upto), lookup)
  end
  while i <= #text do
    local c = text:sub(i, i)
    if c == '"' then
      take(i - 1)
      return table.concat(parts), i
    elseif c == "\\" then
      take(i - 1)
      local next_char = text:sub(i + 1, i + 1)
      parts[#parts + 1] = escapes[next_char] or next_char
      i = i + 2
      plain = i
    else
      i = i + 1
    end
  end
  return nil
end

local function value_at(text, from, lookup)
  local quote = text:sub(from, from)
  if quote == "'" then
    local close = text:find("'", from + 1, true)
    if close then return text:sub(from + 1, close - 1), close + 1 end
  elseif quote == '"' then
    local value, close = double_quoted(text, from + 1, lookup)
    if value then return value, close + 1 end
  end
  local line_end = text:find("\n", from, true) or #text + 1
  local line = text:sub(from, line_end - 1)
  line = line:gsub("%s+#.*$", ""):gsub("^#.*$", ""):gsub("%s+$", "")
  return expand(line, lookup), line_end
end

--- Parses the text of a file.
---@param text string
---@param getenv? fun(name: string): string? the real environment
---@return table values name -> text
function dotenv.parse(text, getenv)
  getenv = getenv or os.getenv
  local values = {}
  local function lookup(name) return getenv(name) or values[name] end
  text = text:gsub("^\xEF\xBB\xBF", ""):gsub("\r\n", "\n")
  local at = 1
  while at <= #text do
    local _, name_end, name = text:find("^[ \t]*([%a_][%w_.]*)[ \t]*=[ \t]*", at)
    if not name then
      _, name_end, name = text:find("^[ \t]*export[ \t]+([%a_][%w_.]*)[ \t]*=[ \t]*", at)
    end
    if name then
      values[name], at = value_at(text, name_end + 1, lookup)
    end
    at = (text:find("\n", at, true) or #text) + 1
  end
  return values
end

--- Reads a file: its values, or nil and why not.
function dotenv.read(path, getenv)
  local file, why = io.open(path, "r")
  if not file then return nil, why end
  local text = file:read "a"
  file:close()
  if not text then return nil, path .. " cannot be read" end
  return dotenv.parse(text, getenv)
end

return dotenv
