-- The module of answer.lua: one wrapper for all requests, made at the first one.
local keycycle = require "keycycle"

local wrapper = keycycle.MultiClientWrapper.new { db_url = os.getenv "STORE" }
wrapper:register_provider("p", { base_url = os.getenv "BASE_URL", default_model = "m",
  keys = { "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2" } })
local client = wrapper:get_rotating_client("p", { max_retries = 0 })

local provider = {}

--- What the provider says to some words.
function provider.ask(words)
  local request = { messages = { { role = "user", content = words } } }
  return client.chat.completions:create(request).choices[1].message.content
end

--- The same from a stream, whose pieces are put in brackets.
function provider.read(words)
  local parts = {}
  local request = { stream = true, messages = { { role = "user", content = words } } }
  for chunk in client.chat.completions:create(request) do
    local content = chunk.choices[1] and chunk.choices[1].delta.content
    if content then parts[#parts + 1] = "[" .. content .. "]" end
  end
  return table.concat(parts)
end

--- What was used so far, and how many bytes Lua has once its garbage is gone.
function provider.stats()
  collectgarbage()
  collectgarbage()
  local total = wrapper:get_manager("p"):get_global_stats().total
  return ("requests %d tokens %d open %d lua %d"):format(total.total_requests, total.total_tokens,
    total.in_flight, collectgarbage "count" * 1024 // 1)
end

return provider
