--- The texts of a provider that say where a request goes and what it calls itself:
--- base_url, paths, names and values of headers. Narrower than the standards: what could
--- be read as another host, or end a line, is refused.
local ascii = require "keycycle.ascii"

local address = {}

local TOKEN = "^[%w!#$%%&'*+.^_`|~-]+$" -- RFC 9110, 5.6.2
-- What the transport writes itself, and whatever says who is asked or who asks.
local reserved = { host = true, connection = true, ["content-length"] = true, expect = true,
  ["keep-alive"] = true, te = true, trailer = true, ["transfer-encoding"] = true, upgrade = true }
local credentials = { authorization = true, ["proxy-authorization"] = true, cookie = true }

--- Whether a path holds "." or ".." as a step, which a client takes away together with
--- what is before it.
---@param path string
---@return boolean
function address.has_dots(path)
  for step in path:gsub("%%2[eE]", "."):gmatch "[^/?]+" do
    if step == "." or step == ".." then return true end
  end
  return false
end

local function is_host(host)
  return host:find "^[%w._{}-]+$" ~= nil or host:find "^%[[%x:.]+%]$" ~= nil
end

--- What is wrong with a base_url; nil: nothing.
---@param url string
---@return string? why
function address.url_fault(url)
  local scheme, authority, path = url:match "^(%a+)://([^/]*)(.*)$"
  scheme = scheme and ascii.lower(scheme)
  if scheme ~= "https" and scheme ~= "http" then return "it must begin with https://" end
  if url:find "[^\33-\126]" then return "it holds a blank, or another character of no URL" end
  if url:find "[\\?#]" then return "it holds one of \\ ? #" end
  if authority:find "@" then return "it must not hold a user" end
  local host, port = authority:match "^(.-):(%d+)$"
  if not is_host(host or authority) then return "its host is none" end
  port = port and tonumber(port)
  if port and (port < 1 or port > 65535) then return "its port is none" end
  if path:find "//" or address.has_dots(path) then return "its path holds //, /./ or /../" end
  return nil
end

--- "https://api.openai.com:443" of a base_url, its templates as they stand; nil for one
--- with a fault.
---@param url string
function address.origin(url)
  if address.url_fault(url) then return nil end
  local scheme, authority = ascii.lower(url):match "^(%a+)://([^/]*)"
  if authority:find ":%d+$" then
    authority = authority:gsub(":0*(%d+)$", ":%1")
  else
    authority = authority .. (scheme == "https" and ":443" or ":80")
  end
  return scheme .. "://" .. authority
end

--- What is wrong with a route's path; nil: nothing.
---@param path string
---@return string? why
function address.path_fault(path)
  if path:sub(1, 1) ~= "/" or path:sub(2, 2) == "/" then return "must begin with one /" end
  if path:find "[^\33-\126]" then return "holds a space, or another character of no URL" end
  if path:find "[\\#]" then return "holds one of \\ #" end
  if address.has_dots(path) then return "holds . or .. as a step" end
  return nil
end

local function is_line(text)
  return not text:find "%c"
end

--- What is wrong with a provider's header; nil: nothing.
---@param name any
---@param value any
---@param auth? table the provider's, whose header no other may be
---@return string? why
function address.header_fault(name, value, auth)
  if type(name) ~= "string" or not name:find(TOKEN) then return "is no name of a header" end
  local low = ascii.lower(name)
  if reserved[low] then return "is not a provider's to set" end
  if credentials[low] or auth and auth.header and ascii.lower(auth.header) == low then
    return "is for auth to set"
  end
  if type(value) ~= "string" and not math.type(value) then return "must be a text" end
  if not is_line(tostring(value)) then return "holds a line break, or another control character" end
  return nil
end

--- What is wrong with a provider's `auth` as to its texts; nil: nothing.
---@param auth table header or query, and value
---@return string? why
function address.auth_fault(auth)
  local name = auth.header or auth.query
  if not name:find(TOKEN) then return "its name is no name" end
  if auth.header and reserved[ascii.lower(name)] then
    return "the header " .. name .. " is another's"
  end
  local rest, n = auth.value:gsub("{api_key}", "", 2)
  if n ~= 1 then return "its value must hold {api_key}, once" end
  if rest:find "[{}]" then return "its value may hold {api_key} and no other template" end
  if not is_line(rest) then return "its value holds a control character" end
  return nil
end

return address
