--- The mock's Gemini by OpenAI's form: its answers, but Gemini's errors, each in a list.
local family = require "keycycle.mock.openai_family"
local gemini = require "keycycle.mock.gemini"
local json = require "keycycle.json"

local errors = {}
for kind, make in pairs(gemini.errors) do
  errors[kind] = function(about)
    local status, body, headers = make(about)
    return status, { body }, headers
  end
end
errors.no_method = errors.no_route

local dialect = family.new {
  base = "/v1beta/openai",
  endpoints = { "chat", "embeddings", "models" },
  models = { "models/gemini-2.5-flash", "models/gemini-embedding-001" },
  shape = { usage = "asked", broken = function()
    local _, body = errors.overloaded { model = "mock" }
    return "data: " .. json.encode(body) .. "\n\n"
  end },
  errors = errors,
  limit_headers = gemini.limit_headers,
}
dialect.errors.policy = nil -- its answer ends with "content_filter"
dialect.tells_delay = false

return dialect
