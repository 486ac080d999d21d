--- The mock's OpenAI: the minute's requests and tokens in headers, usage of a stream
--- on demand.
local family = require "keycycle.mock.openai_family"

return family.new {
  base = "/v1",
  endpoints = { "chat", "responses", "embeddings", "models", "transcriptions" },
  models = { "gpt-4o-mini", "gpt-4o", "text-embedding-3-small" },
  shape = {
    usage = "asked",
    -- Padding against guesses by length; a client has to pass over it.
    chunk = function(chunk) chunk.obfuscation = "mock" end,
  },
  limits = { { "requests", "minute", "requests" }, { "tokens", "minute", "tokens" } },
}
