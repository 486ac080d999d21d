--- The mock in each of its styles, spoken to over plain HTTP: no code of the library
--- but its transport and JSON is between a spec and the wire.
local keycycle = require "keycycle"
local servers = require "tests.support.servers"

local styles = {}

styles.KEY, styles.OTHER = "sk-mock-aaaaaaaaaaaaaaaa-1", "sk-mock-bbbbbbbbbbbbbbbb-2"

local function bearer(key) return { authorization = "Bearer " .. key } end

local function messages(text, more)
  local body = { model = "m", messages = { { role = "user", content = text } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return body
end

local function with_stream(text, stream)
  return messages(text, { stream = stream or nil })
end

local function openai_like(base)
  return { chat = base .. "/chat/completions", body = with_stream, auth = bearer }
end

--- By style: the path and body of a chat that says `text`, and the headers of a key.
styles.by_name = {
  openai = openai_like "/v1",
  groq = openai_like "/openai/v1",
  cerebras = openai_like "/v1",
  openrouter = openai_like "/api/v1",
  azure = { chat = "/openai/deployments/m/chat/completions?api-version=2024-10-21",
    body = with_stream, auth = function(key) return { ["api-key"] = key } end },
  anthropic = { chat = "/v1/messages",
    body = function(text, stream)
      return messages(text, { max_tokens = 100, stream = stream or nil })
    end,
    auth = function(key) return { ["x-api-key"] = key, ["anthropic-version"] = "2023-06-01" } end },
  gemini = { chat = "/v1beta/models/m:generateContent",
    stream = "/v1beta/models/m:streamGenerateContent?alt=sse",
    body = function(text)
      return { contents = { { role = "user", parts = { { text = text } } } } }
    end,
    auth = function(key) return { ["x-goog-api-key"] = key } end },
  gemini_openai = openai_like "/v1beta/openai",
  cohere = { chat = "/v2/chat", body = with_stream, auth = bearer },
  twelvelabs = { chat = "/v1.3/analyze",
    body = function(text, stream) return { video_id = "v", prompt = text, stream = stream } end,
    auth = function(key) return { ["x-api-key"] = key } end },
}

--- Their names, in order.
styles.names = {}
for name in pairs(styles.by_name) do styles.names[#styles.names + 1] = name end
table.sort(styles.names)

local methods = {}
local mock_mt = { __index = methods }

--- Starts a mock with a minute that moves by hand, two keys and further options.
function styles.start(name, options)
  local server = servers.mock(("--style %s --clock manual --journal-bodies --keys %s,%s %s")
    :format(name, styles.KEY, styles.OTHER, options or ""))
  return setmetatable({ server = server, style = styles.by_name[name] }, mock_mt)
end

function methods:stop() self.server.stop() end

--- Sends a body (a table: as JSON) or none; more: key, headers, type. The answer has
--- `json`, too, when it is JSON.
function methods:send(path, body, more)
  more = more or {}
  local headers = self.style.auth(more.key or styles.KEY)
  for k, v in pairs(more.headers or {}) do headers[k] = v or nil end
  if type(body) == "table" then body = keycycle.json.encode(body) end
  local answer = keycycle.http.request { method = body and "POST" or "GET", body = body,
    url = self.server.root .. path, headers = headers }
  local ok, decoded = pcall(keycycle.json.decode, answer.body)
  answer.json = ok and decoded or nil
  return answer
end

--- A chat that says `text`.
function methods:say(text, more)
  return self:send(self.style.chat, self.style.body(text, false), more)
end

--- The same as a stream: `events`, a list of { type, data } in order.
function methods:stream(text, more)
  local answer = self:send(self.style.stream or self.style.chat, self.style.body(text, true), more)
  answer.events = styles.events(answer.body)
  return answer
end

--- The events of a body: of an SSE stream, or of lines of JSON.
function styles.events(body)
  local list, sse = {}, body:find "data: " ~= nil
  for block in (body:gsub("\r\n", "\n") .. "\n\n"):gmatch(sse and "(.-)\n\n" or "([^\n]+)\n") do
    local data = sse and block:match "data: ([^\n]*)" or not sse and block
    if data then
      local ok, decoded = pcall(keycycle.json.decode, data)
      list[#list + 1] = { type = block:match "^event: ([^\n]*)", data = ok and decoded or data }
    end
  end
  return list
end

function methods:journal()
  return keycycle.json.decode(keycycle.http.request { url = self.server.root .. "/journal" }.body)
end

function methods:advance(seconds)
  keycycle.http.request { method = "POST",
    url = self.server.root .. "/advance?seconds=" .. seconds }
end

--- A copy of `value` with some of its places replaced; `random` is math.random or
--- like it, and all that chance decides.
function styles.mutated(value, random)
  local odd = { 0, -1, 1e300, "", "mock:tool=x", true, false, {}, { {} }, { a = { 1 } },
    keycycle.json.null }
  local function change(v, rate)
    if random() < rate then return odd[random(#odd)] end
    if type(v) ~= "table" then return v end
    local out, keys = {}, {}
    for k in pairs(v) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, k in ipairs(keys) do out[k] = change(v[k], rate) end
    return out
  end
  return change(value, 0.08)
end

--- The body of a form: a list of { name, value } and { name, value, filename }.
function styles.form(fields)
  local out = {}
  for _, field in ipairs(fields) do
    out[#out + 1] = ('--mark\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n')
      :format(field[1], field[3] and ('; filename="%s"\r\nContent-Type: audio/wav')
      :format(field[3]) or "", field[2])
  end
  return table.concat(out) .. "--mark--\r\n", { ["content-type"] =
    "multipart/form-data; boundary=mark" }
end

return styles
