--- What a native request costs, guessed from its length before it is sent.
--- Pure; it raises for nothing that a caller may have written.
local answer = require "keycycle.protocol.answer"

local estimate = {}

local CHARS_A_TOKEN = 4
local MESSAGE_OVERHEAD = 4 -- role and separators, by OpenAI's cookbook
-- An image or a file costs by its pixels or its length, which are not known here:
-- an image of about 1000 x 1000 is 765 tokens at OpenAI, 1300 at Anthropic, 258 a
-- tile at Gemini. Its base64 is no text and must not be counted as one.
local MEDIA_TOKENS = 1000

local media = { image_url = true, image = true, input_image = true, input_audio = true,
  file = true, input_file = true, video_url = true }
local silent = { role = true, type = true } -- a message's own, not its text

local NOTHING = {}

local function is_media(t)
  return media[t.type] or t.inlineData or t.inline_data or t.fileData or t.file_data
    or (t.type == "document" and t.source)
end

-- Bytes of text and number of media in a value; `keys`: names count too, as in a
-- schema. A list of what is left instead of recursion: a caller's table may be deep, or
-- cyclic. Most messages are flat, and need none.
local function measure(value, keys)
  if type(value) == "string" then return #value, 0 end
  local bytes, medias, left, seen = 0, 0, nil, nil
  local top = type(value) == "table" and value
  while top do
    if not keys and not top.role and is_media(top) then -- a message is none
      medias, top = medias + 1, NOTHING
    end
    for k, v in next, top do
      if keys and type(k) == "string" then bytes = bytes + #k end
      local counts = keys or not silent[k]
      if counts and type(v) == "string" then
        bytes = bytes + #v
      elseif counts and type(v) == "table" then
        if not left then left, seen = {}, { [value] = true } end
        if not seen[v] then left[#left + 1], seen[v] = v, true end
      end
    end
    top = left and table.remove(left)
  end
  return bytes, medias
end

--- Tokens of a text or of anything that holds texts, images or files.
---@param value any
---@param keys? boolean the names in it count too
function estimate.of(value, keys)
  if value == nil then return 0 end
  local bytes, medias = measure(value, keys)
  return -(-bytes // CHARS_A_TOKEN) + medias * MEDIA_TOKENS
end

--- Tokens of a chat request's input.
---@param request any
---@param messages string the field with the list of messages, or one text
---@param others string[] fields that hold texts
function estimate.chat(request, messages, others)
  if type(request) ~= "table" then return 0 end
  local tokens, list = 0, request[messages]
  if type(list) ~= "table" then list = { list } end
  for _, message in ipairs(list) do
    if type(message) == "table" or type(message) == "string" then
      tokens = tokens + MESSAGE_OVERHEAD + estimate.of(message)
    end
  end
  for _, name in ipairs(others) do tokens = tokens + estimate.of(request[name]) end
  return tokens + estimate.of(request.tools, true)
end

--- The first of these, three at most, that is a whole number above zero, else 0: what a
--- request's field allows to come back.
function estimate.most(a, b, c)
  return answer.first(a, b, c) or 0
end

return estimate
