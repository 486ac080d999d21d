--- OpenAI embeddings: what a call costs and what it used.
local chat = require "keycycle.protocol.openai_chat"

local openai_embeddings = {}

local CHARS_A_TOKEN = 4

--- Tokens to reserve: those of the input, which is text, or a list of texts or
--- of tokens.
function openai_embeddings.estimate(request)
  local input, tokens = request.input, 0
  if type(input) == "string" then input = { input } end
  for _, item in ipairs(type(input) == "table" and input or {}) do
    if type(item) == "string" then
      tokens = tokens + -(-#item // CHARS_A_TOKEN)
    else
      tokens = tokens + (type(item) == "table" and #item or 1)
    end
  end
  return tokens
end

openai_embeddings.estimate_input = openai_embeddings.estimate
openai_embeddings.usage = chat.usage

return openai_embeddings
