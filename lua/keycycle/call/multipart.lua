--- multipart/form-data (RFC 7578): fields and files of an upload, as one text.
local ascii = require "keycycle.ascii"
local errors = require "keycycle.errors"

local multipart = {}

local MOST_BYTES = 512 * 1024 * 1024

local function bad(fmt, ...)
  errors.raise(errors.KeycycleError, { code = "bad_request", message = fmt:format(...) })
end

local function read_file(name, path)
  local file <close>, why = io.open(path, "rb")
  if not file then bad("%s: the file cannot be read: %s", name, why) end
  local _, no_text = file:read(0)
  if no_text then bad("%s: %s cannot be read: %s", name, path, no_text) end
  local size = file:seek "end"
  if not size then bad("%s: %s is no plain file", name, path) end
  if size > MOST_BYTES then bad("%s: %s is larger than %d bytes", name, path, MOST_BYTES) end
  file:seek "set"
  local data, failed = file:read(size) -- of a device that never ends, nothing
  if not data and size > 0 then bad("%s: %s cannot be read: %s", name, path, failed) end
  return data or ""
end

-- `"path"`, or `{ path = }` or `{ data = }` with filename and content_type.
local function file_part(name, given)
  if type(given) == "string" then given = { path = given } end
  if type(given) ~= "table" then bad("%s must be a path, or { data =, filename = }", name) end
  local data = given.data
  if data == nil then
    if type(given.path) ~= "string" then bad("%s needs path or data", name) end
    data = read_file(name, given.path)
  elseif type(data) ~= "string" then
    bad("%s.data must be a text", name)
  end
  for _, field in ipairs { "path", "filename", "content_type" } do
    if given[field] ~= nil and type(given[field]) ~= "string" then
      bad("%s.%s must be a text", name, field)
    end
  end
  local filename = given.filename or (given.path or name):match "[^/\\]*$"
  return { name = name, data = data, filename = filename, content_type = given.content_type }
end

local function is_file(name, value)
  return name == "file" or name:find "_file$" ~= nil
    or type(value) == "table" and (value.data ~= nil or value.path ~= nil)
end

local plain = { string = true, number = true, boolean = true }

local function add(parts, name, value, encode)
  if value == nil then return end
  if is_file(name, value) then
    parts[#parts + 1] = file_part(name, value)
  elseif type(value) == "table" and (#value > 0 or next(value) == nil) then
    for _, one in ipairs(value) do add(parts, name, one, encode) end -- a field is repeated
  elseif type(value) == "table" then
    parts[#parts + 1] = { name = name, data = encode(value), content_type = "application/json" }
  elseif not plain[type(value)] then
    bad("%s must be a text, a number, a list or a file, not a %s", name, type(value))
  else
    parts[#parts + 1] = { name = name, data = ascii.text(value) }
  end
end

--- The parts of a form, in the order of their names. `file` and names that end in `_file`
--- are files: a path, or `{ path =, data =, filename =, content_type = }`. Files are read
--- here: what cannot be read raises KeycycleError (`bad_request`).
---@param fields table
---@param encode fun(value: table): string for tables
---@return table parts `{ name, data, filename, content_type }`
function multipart.parts(fields, encode)
  local names, parts = {}, {}
  for name in pairs(fields) do
    if type(name) ~= "string" then bad("a form has no field %s", tostring(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do add(parts, name, fields[name], encode) end
  return parts
end

-- WHATWG HTML, "multipart form data": how a name is written.
local function quote(text)
  return '"' .. text:gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }) .. '"'
end

local function boundary_for(parts)
  while true do
    local boundary = ("keycycle-%016x%016x"):format(math.random(0), math.random(0))
    local clash = false
    for _, part in ipairs(parts) do
      clash = clash or part.data:find(boundary, 1, true) ~= nil
    end
    if not clash then return boundary end
  end
end

--- The body and its content type.
---@param parts table of multipart.parts
---@return string body, string content_type
function multipart.body(parts)
  local boundary = boundary_for(parts)
  local out = {}
  for _, part in ipairs(parts) do
    out[#out + 1] = "--" .. boundary .. "\r\nContent-Disposition: form-data; name="
      .. quote(part.name)
    if part.filename then out[#out + 1] = "; filename=" .. quote(part.filename) end
    out[#out + 1] = "\r\n"
    local kind = part.content_type or part.filename and "application/octet-stream"
    if kind then out[#out + 1] = "Content-Type: " .. kind:gsub("[%c]", "") .. "\r\n" end
    out[#out + 1] = "\r\n"
    out[#out + 1] = part.data
    out[#out + 1] = "\r\n"
  end
  out[#out + 1] = "--" .. boundary .. "--\r\n"
  return table.concat(out), "multipart/form-data; boundary=" .. boundary
end

return multipart
