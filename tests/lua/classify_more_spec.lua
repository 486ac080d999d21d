local keycycle = require "keycycle"

local function each(name, fn)
  for line in io.lines("tests/fixtures/" .. name) do
    local record = keycycle.json.decode(line)
    it(record.id, function() fn(record) end)
  end
end

local function check(record)
  local verdict = keycycle.classify(record.provider,
    { status = record.status, headers = record.headers, body = record.body })
  assert.equal(record.class, verdict.kind)
  if verdict.kind == "quota" then assert.equal(record.window, verdict.window) end
  if record.retry_after_s then
    assert.near(record.retry_after_s, verdict.retry_after, 0.01)
  else
    assert.is_nil(verdict.retry_after)
  end
end

describe("an answer in a form that a provider documents is understood: #pure", function()
  each("fresh_errors.jsonl", check)
end)

describe("an answer that was met in the open is understood: #pure", function()
  each("seen_errors.jsonl", check)
end)
