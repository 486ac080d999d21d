--- What the limit program plays: a wrapper, a call, a stream, and tasks for its steps.
--- `enter` tells it the part.
--- arguments: BASE_URL KEY
local keycycle = require "keycycle"

local base_url, key = ...

enter "wrapper"
local wrapper = keycycle.MultiClientWrapper.new { shared = "limit" }
wrapper:register_provider("p", { base_url = base_url, keys = { key }, default_model = "m" })
local client = wrapper:get_rotating_client("p", { max_retries = 0 })

local function ask(words)
  local request = { messages = { { role = "user", content = words } } }
  local said = client.chat.completions:create(request).choices[1].message.content
  assert(said == "You said: " .. words, said)
end

local function read(words)
  local request = { stream = true, messages = { { role = "user", content = words } } }
  local said = ""
  for chunk in client.chat.completions:create(request) do
    said = said .. (chunk.choices[1] and chunk.choices[1].delta.content or "")
  end
  assert(said == "You said: " .. words, said)
end

enter "call"
ask "one"
enter "stream"
read "one two three four"

enter "tasks"
local tasks = {}

--- How many tasks failed, all for want of memory.
function check()
  local failed = 0
  for _, task in ipairs(tasks) do
    if task:status() == "failed" then
      failed = failed + 1
      assert(task:traceback():find("not enough memory", 1, true), task:traceback())
    else
      assert(task:status() == "done")
    end
  end
  return failed
end

for i = 1, 4 do tasks[i] = keycycle.spawn(i % 2 == 0 and ask or read, "of task " .. i) end
