--- The files of the current folder, for a tool that a model calls: what lies outside, what
--- is hidden and `.env` are not read, for there may be keys in it.
local core = require "keycycle.core"

local folder = {}

-- Whether a path stays in the folder and names nothing that is hidden.
local function is_open(path)
  return not (path:find "^/" or ("/" .. path):find "/%." or path:find "%.env")
end

-- Where a path leads, through all links, if that may be read.
local function place_of(path)
  path = path:gsub("^%./", "")
  local here = core.real_path ".":gsub("/$", "") .. "/"
  if is_open(path) then
    local real, kind = core.real_path(path)
    if not real then return nil, path .. ": " .. kind end
    if real:sub(1, #here) == here and is_open(real:sub(#here + 1)) then
      -- A pipe would never come to its end.
      if kind ~= "file" then return nil, path .. ": it is a directory, or a pipe, and no file" end
      return real
    end
  end
  return nil, "only files of this folder that are not hidden can be read"
end

--- The text of a file, or its begin; nil and why not.
---@param path string inside the folder
---@param most integer bytes
---@return string? text, string? why
function folder.read(path, most)
  local real, reason = place_of(path)
  if not real then return nil, reason end
  local file <close>, why = io.open(real, "rb")
  if not file then return nil, why end
  local text, fault = file:read(most)
  if fault then return nil, fault end
  local _, odd = utf8.len(text or "")
  if odd and odd < #text - 3 then return nil, "it is not a text" end
  return (text or ""):sub(1, (odd or 0) - 1) -- a letter may be cut in two
end

return folder
