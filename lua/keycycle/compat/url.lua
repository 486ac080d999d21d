--- URLs as LuaSocket's `socket.url` reads them, as far as its `http` needs that.
local ascii = require "keycycle.ascii"

local url = {}

--- A URL's parts, or nil where it has no scheme and host of its own.
---@param text string
---@return table? parts `{ scheme, user, password, host, port, path }`; path has the query
function url.parse(text)
  text = text:gsub("#.*$", "")
  local scheme, authority, path = text:match "^(%a[%w+.-]*)://([^/?]*)(.*)$"
  if not scheme then return nil end
  local parts = { scheme = ascii.lower(scheme), path = path }
  local info, place = authority:match "^(.*)@(.*)$"
  if info then
    parts.user, parts.password = info:match "^([^:]*):(.*)$"
    parts.user = parts.user or info
  end
  place = place or authority
  parts.port = place:match ":(%d*)$"
  parts.host = place:gsub(":%d*$", "")
  return parts
end

-- Without its `.` and `..`.
local function plain(path)
  local steps = {}
  for step in path:gmatch "[^/]+" do
    if step == ".." then
      steps[#steps] = nil
    elseif step ~= "." then
      steps[#steps + 1] = step
    end
  end
  local open = path:find "/$" or path:find "/%.%.?$"
  return "/" .. table.concat(steps, "/") .. (open and #steps > 0 and "/" or "")
end

--- Where a reference leads from a URL.
---@param base string a whole URL
---@param reference string
---@return string
function url.absolute(base, reference)
  if reference:find "^%a[%w+.-]*:" then return reference end
  local root, rest = base:match "^(%a[%w+.-]*://[^/?#]*)([^#]*)"
  if not root then return reference end
  if reference:find "^//" then return root:match "^[^:]*:" .. reference end
  local path = rest:match "^[^?]*"
  if reference:find "^%?" then return root .. (path == "" and "/" or path) .. reference end
  local wanted, query = reference:match "^([^?#]*)(.*)$"
  if wanted:sub(1, 1) ~= "/" then wanted = (path:match "^.*/" or "/") .. wanted end
  return root .. plain(wanted) .. query
end

--- A text with its `%41` made what they stand for.
function url.unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Base64, for HTTP's Basic authorization.
---@param text string
function url.base64(text)
  return (text:gsub("..?.?", function(three)
    local a, b, c = three:byte(1, 3)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    local out = ""
    for i = 0, #three do
      local at = (n >> (18 - 6 * i) & 63) + 1
      out = out .. letters:sub(at, at)
    end
    return out .. ("="):rep(3 - #three)
  end))
end

return url
