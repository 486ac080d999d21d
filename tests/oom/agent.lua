--- An agent over a model of the scenario's own: a run that fails leaves the history as it
--- was, a tool that lacks memory is no answer, and no task is left behind.
local keycycle = require "keycycle"

local function answer_of(messages)
  local last = messages[#messages]
  if last.role ~= "user" then
    return { content = "It said " .. last.content, finish_reason = "stop",
      usage = { total_tokens = 1 } }
  end
  return { content = "", finish_reason = "tool_calls", usage = { total_tokens = 2 }, tool_calls = {
    { id = "a", name = "add", arguments = { numbers = keycycle.json.array { 1, 2 } } },
    { id = "b", name = "slow", arguments = {} } } }
end

local model = { invoke = function(_, messages) return answer_of(messages) end }

function model.invoke_stream(_, messages)
  local response, read = answer_of(messages), false
  local stream = setmetatable({ close = function() end, response = function() return response end },
    { __call = function()
      if read then return nil end
      read = true
      return response.content, response
    end })
  return stream, nil, nil, stream
end

local TOOLS = {
  { name = "add", parameters = { type = "object", required = { "numbers" }, properties = {
    numbers = { type = "array", items = { type = "integer" } } } },
    run = function(args) return { sum = args.numbers[1] + args.numbers[2] } end },
  { name = "slow", run = function()
    keycycle.sleep(0)
    return "done"
  end },
}

local function check(result)
  assert(result.content == "It said done", result.content)
  assert(result.messages[#result.messages - 2].content == '{"sum":3}')
  assert(result.usage.total_tokens == 3)
end

-- Runs go in whole: user, calls, two results, answer.
local function check_history(w)
  assert(not w.agent or #w.agent.history % 5 == 0)
end

return {
  { "agent", function(w)
    w.agent = keycycle.Agent { model = model, instructions = "Be brief.", tools = TOOLS }
  end },
  { "run", function(w) check(w.agent:run "one") end },
  -- A timer that there was no memory to cancel ends by itself.
  { "run with a deadline", function(w) check(w.agent:run("two", { deadline = 2 })) end },
  { "stream", function(w)
    local stream <close> = w.agent:run_stream "three"
    assert(stream:text() == "It said done")
    check(stream:result())
  end },
  { "the end", function()
    while keycycle.step(0) > 0 do keycycle.step(nil) end
    assert(keycycle.timeout() == nil)
  end },
  after = check_history,
  check = function(w)
    check_history(w)
    if w.oom.hits() == 0 then assert(#w.agent.history == 15) end
  end,
}
