--- Reads the body of a multipart/form-data request. Pure.
local multipart = {}

-- The name and the file's name of a part; quoted, as browsers and curl write them.
local function named(head)
  local line = head:match "[Cc]ontent%-[Dd]isposition:([^\r\n]*)" or ""
  return line:match '[;%s]name="([^"]*)"', line:match 'filename="([^"]*)"'
end

--- The form of a body: a list of `{ name, value }` for fields and `{ name, filename,
--- content_type, size }` for files, in their order; nil and why when it is not one.
---@param content_type? string the request's header
---@param body string
function multipart.read(content_type, body)
  local boundary = (content_type or ""):match '^multipart/form%-data.*boundary="?([^";]+)"?'
  if not boundary then return nil, "the content type is not multipart/form-data" end
  local mark, form = "--" .. boundary, {}
  if body:sub(1, #mark) ~= mark then return nil, "the body does not begin with its boundary" end
  local at = #mark + 1
  while body:sub(at, at + 1) == "\r\n" do
    local head_end, value_begin = body:find("\r\n\r\n", at, true)
    local value_end, next_at = body:find("\r\n" .. mark, value_begin or at, true)
    if not head_end or not value_end then return nil, "a part does not end" end
    local head = body:sub(at, head_end)
    local name, filename = named(head)
    if not name then return nil, "a part has no name" end
    local part = { name = name }
    if filename then
      part.filename, part.size = filename, value_end - value_begin - 1
      part.content_type = head:match "[Cc]ontent%-[Tt]ype:%s*([^\r\n]*)"
    else
      part.value = body:sub(value_begin + 1, value_end - 1)
    end
    form[#form + 1] = part
    at = next_at + 1
  end
  if body:sub(at, at + 1) ~= "--" then return nil, "the last boundary is missing" end
  return form
end

--- The first part of a form with this name, or nil.
function multipart.part(form, name)
  for _, part in ipairs(form) do
    if part.name == name then return part end
  end
end

return multipart
