--- The mock's side of OpenAI's other endpoints: embeddings, models, transcriptions.
local json = require "keycycle.json"
local multipart = require "keycycle.mock.multipart"
local turn = require "keycycle.mock.turn"

local other = {}

local function missing(param)
  return nil, { message = ("Missing required parameter: '%s'."):format(param), param = param,
    code = "missing_required_parameter" }
end

--- Embeddings of a text or a list of texts; the model may be in the path.
function other.embeddings(path, model_in_path)
  local function read(body, captures)
    local model = model_in_path and captures[1] or body.model
    if type(model) ~= "string" then
      return nil, { message = "you must provide a model parameter" }
    end
    local inputs = type(body.input) == "string" and { body.input } or body.input
    if type(inputs) ~= "table" or #inputs == 0 then return missing "input" end
    local ask = { said = inputs[#inputs], input = 0, inputs = inputs, model = model,
      size = turn.whole(body.dimensions) }
    for _, text in ipairs(inputs) do
      if type(text) ~= "string" then return nil, { message = "Invalid type for 'input'." } end
      ask.input = ask.input + turn.tokens(text)
    end
    return ask
  end
  local function answer(ask)
    local data = {}
    for i, text in ipairs(ask.inputs) do
      data[i] = { object = "embedding", index = i - 1, embedding = turn.vector(text, ask.size) }
    end
    return { object = "list", model = ask.model, data = data,
      usage = { prompt_tokens = ask.input, total_tokens = ask.input } }
  end
  return { method = "POST", path = path, silent = true, read = read, answer = answer }
end

--- The list of models.
function other.models(path, names)
  return { method = "GET", path = path, silent = true,
    read = function() return { said = "", input = 0, model = "models" } end,
    answer = function()
      local data = {}
      for i, id in ipairs(names) do
        data[i] = { id = id, object = "model", created = 1700000000, owned_by = "mock" }
      end
      return { object = "list", data = data }
    end }
end

--- Audio to text: the text is the size of the file that came. `more`: fields of the answer.
function other.transcription(path, more, model_in_path)
  local function read(form, captures)
    local file, model = multipart.part(form, "file"), multipart.part(form, "model")
    if not file or not file.filename then return missing "file" end
    if not model_in_path and not (model and model.value) then return missing "model" end
    local format = multipart.part(form, "response_format")
    local prompt = multipart.part(form, "prompt")
    return { said = prompt and prompt.value or "", input = 0, size = file.size,
      model = model_in_path and captures[1] or model.value,
      format = format and format.value or "json" }
  end
  local function answer(ask)
    local text = ("%d bytes"):format(ask.size)
    if ask.format == "text" then return text .. "\n", { ["content-type"] = "text/plain" } end
    local body = { text = text }
    if ask.format == "verbose_json" then
      body.task, body.language, body.duration = "transcribe", "english", 1.5
      body.segments = json.array { { id = 0, start = 0, ["end"] = 1.5, text = text } }
    end
    for k, v in pairs(more or {}) do body[k] = v end
    return body
  end
  return { method = "POST", path = path, form = "multipart", silent = true, read = read,
    answer = answer }
end

return other
