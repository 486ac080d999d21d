--- Whatever a client sends, the mock answers in its provider's way: no handler of
--- it fails, and every byte of a stream belongs to an event.
local keycycle = require "keycycle"
local styles = require "tests.support.styles"

local SCHEMA = { type = "object", required = { "a" }, properties = { a = { type = "array",
  items = { type = "string" } } } }
local FUNCTION = { type = "function", ["function"] = { name = "x", parameters = SCHEMA } }
local CALL = { id = "c", type = "function", ["function"] = { name = "x", arguments = "{}" } }

local openai_chat = { model = "m", max_tokens = 9, stop = { "s" }, stream = true,
  tools = { FUNCTION },
  stream_options = { include_usage = true }, tool_choice = { type = "function",
    ["function"] = { name = "x" } }, response_format = { type = "json_schema",
    json_schema = { name = "s", schema = SCHEMA } },
  messages = { { role = "system", content = "s" },
    { role = "user", content = { { type = "text", text = "mock:tool" },
      { type = "image_url", image_url = { url = "data:," } } } },
    { role = "assistant", tool_calls = { CALL } },
    { role = "tool", tool_call_id = "c", content = "r" } } }
local embeddings = { model = "m", input = { "a", "b" }, dimensions = 3 }

-- Rich bodies by style and path.
local bodies = {
  openai = { ["/v1/chat/completions"] = openai_chat, ["/v1/embeddings"] = embeddings,
    ["/v1/responses"] = { model = "m", instructions = "i", max_output_tokens = 9, stream = true,
      text = { format = { type = "json_schema", schema = SCHEMA } }, tool_choice = { name = "x" },
      tools = { { type = "function", name = "x", parameters = SCHEMA } },
      input = { { role = "user", content = { { type = "input_text", text = "mock:tool" } } },
        { type = "function_call", call_id = "c", name = "x", arguments = "{}" },
        { type = "function_call_output", call_id = "c", output = "r" } } } },
  groq = { ["/openai/v1/chat/completions"] = openai_chat },
  gemini_openai = { ["/v1beta/openai/chat/completions"] = openai_chat },
  cerebras = { ["/v1/chat/completions"] = openai_chat },
  openrouter = { ["/api/v1/chat/completions"] = openai_chat },
  azure = { ["/openai/deployments/m/chat/completions?api-version=1"] = openai_chat },
  anthropic = { ["/v1/messages"] = { model = "m", max_tokens = 9, stream = true,
    stop_sequences = { "s" }, system = { { type = "text", text = "s" } },
    tool_choice = { type = "tool", name = "x" }, tools = { { name = "x", input_schema = SCHEMA } },
    messages = { { role = "user", content = { { type = "text", text = "mock:tool" },
      { type = "image", source = { type = "url", url = "u" } } } },
      { role = "assistant", content = { { type = "tool_use", id = "c", name = "x", input = {} } } },
      { role = "user", content = { { type = "tool_result", tool_use_id = "c",
        content = { { type = "text", text = "r" } } } } } } } },
  gemini = { ["/v1beta/models/m:streamGenerateContent?alt=sse"] = {
    contents = { { role = "user", parts = { { text = "mock:tool" } } },
      { role = "model", parts = { { functionCall = { name = "x", args = {} } } } },
      { role = "user", parts = { { functionResponse = { name = "x", response = { r = 1 } } } } } },
    systemInstruction = { parts = { { text = "s" } } },
    generationConfig = { maxOutputTokens = 9, stopSequences = { "s" },
      responseMimeType = "application/json", responseSchema = SCHEMA },
    tools = { { functionDeclarations = { { name = "x", parameters = SCHEMA } } } },
    toolConfig = { functionCallingConfig = { mode = "ANY", allowedFunctionNames = { "x" } } } },
    ["/v1beta/models/m:batchEmbedContents"] = { requests = { { model = "models/m",
      content = { parts = { { text = "t" } } }, outputDimensionality = 3 } } } },
  cohere = { ["/v2/chat"] = { model = "m", stream = true, max_tokens = 9, stop_sequences = { "s" },
    tools = { FUNCTION }, tool_choice = "REQUIRED", response_format = { type = "json_object",
      json_schema = SCHEMA }, messages = { { role = "user", content = { { type = "text",
      text = "mock:tool" } } }, { role = "assistant", tool_calls = { CALL } },
      { role = "tool", tool_call_id = "c", content = { { type = "document",
        document = { data = "r" } } } } } },
    ["/v2/embed"] = { model = "m", input_type = "image", texts = { "a" }, output_dimension = 3 },
    ["/v2/rerank"] = { model = "m", query = "q", documents = { "a", "b" }, top_n = 1 } },
  twelvelabs = { ["/v1.3/analyze"] = { video_id = "v", prompt = "p", max_tokens = 9,
    response_format = { type = "json_schema", json_schema = SCHEMA } },
    ["/v1.3/embed-v2"] = { input_type = "text", model_name = "m", text = { input_text = "t" } } },
}

for _, name in ipairs(styles.names) do
  describe("the style " .. name, function()
    local mock
    setup(function() mock = styles.start(name) end)
    teardown(function() mock:stop() end)

    it("takes or refuses any body, and never fails at it", function()
      for path, body in pairs(bodies[name]) do
        assert.equal(200, mock:send(path, body).status, path)
        math.randomseed(7)
        for _ = 1, 150 do
          local odd = styles.mutated(body, math.random)
          local status = mock:send(path, keycycle.json.encode(odd)).status
          assert.is_true(status == 200 or status == 400, keycycle.json.encode(odd))
        end
      end
    end)

    it("writes nothing in a stream but events", function()
      local answer = mock:stream "one two three four"
      local body = answer.body:gsub("\r\n", "\n")
      if answer.headers["content-type"] == "text/event-stream" then
        assert.equal("\n\n", body:sub(-2))
        for line in body:gmatch "([^\n]*)\n" do
          assert.truthy(line == "" or line:find "^data: [%[{]" or line:find "^event: [%l_.-]+$"
            or line:find "^: ", line)
        end
      end
      for _, event in ipairs(answer.events) do
        assert.is_true(type(event.data) == "table" or event.data == "[DONE]")
      end
    end)

    it("takes a fault's name in a header, too", function()
      assert.equal(mock:say("mock:fault=overloaded").status,
        mock:say("hi", { headers = { ["x-mock-fault"] = "overloaded" } }).status)
    end)
  end)
end
