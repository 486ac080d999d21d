--- The four ways of asking that every model has, be it one provider's or a chain of them.
local model_answer = require "keycycle.model.answer"
local task = require "keycycle.task"

local model_methods = {}

--- The methods of a kind of model.
---@param prepare fun(self: table, prompt: any, opts: table?, stream: boolean): any
--- checks and encodes all that is sent; what the caller's tables say later is not seen
---@param send fun(prepared: any): table, table runs it: the run that was answered, and
--- the result
---@return table methods invoke, ainvoke, invoke_stream, ainvoke_stream
function model_methods.new(prepare, send)
  local methods = {}

  local function answer(prepared)
    return model_answer.response(send(prepared))
  end

  --- Asks the model. Blocks, or yields in a task.
  ---@param prompt string|table a text, or a list of neutral messages; never written to
  ---@param opts? table options of a call and fields of the request: keycycle.AskOptions
  ---@return table response neutral (keycycle.Response); tostring gives its content
  function methods:invoke(prompt, opts)
    return answer(prepare(self, prompt, opts, false))
  end

  --- Asks it and returns a task at once, whose `await` gives the response, or raises.
  ---@return table task
  function methods:ainvoke(prompt, opts)
    return task.spawn_prepared(answer, prepare, self, prompt, opts, false)
  end

  --- Asks it for a stream, `for text, chunk in model:invoke_stream(prompt) do`: returns
  --- when the first content is there, and raises what comes before. The stream is closed
  --- by `for`, by `<close>`, by `close`, and at its end. `stream:text()` is the text of
  --- the rest, `stream:response()` the response of what was read.
  ---@return table stream, nil, nil, table stream
  function methods:invoke_stream(prompt, opts)
    local stream = model_answer.stream(send(prepare(self, prompt, opts, true)))
    return stream, nil, nil, stream
  end

  --- The same, by its name in a task: there it yields.
  methods.ainvoke_stream = methods.invoke_stream

  return methods
end

return model_methods
