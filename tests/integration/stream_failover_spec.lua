--- What a provider says inside a stream whose status was 200: before the first content
--- the call goes to another key, after it the reader is told; the key is put away both
--- times.
local keycycle = require "keycycle"
local conform = require "tests.support.conform"
local raises = require "tests.support.raises"
local recorded = require "tests.support.recorded"
local servers = require "tests.support.servers"

local TEXT = "You said: a b"

local function event(kind, body)
  return (kind and "event: " .. kind .. "\n" or "") .. "data: " .. keycycle.json.encode(body)
    .. "\n\n"
end

local function openai(message, kind, code)
  return event(nil, { error = { message = message, type = kind, code = code } })
end

local function twelvelabs(code, message)
  return keycycle.json.encode { event_type = "error", error = { code = code, message = message } }
    .. "\n"
end

-- Each: a provider, the event, its kind, the state of the key after it.
local refusals = {
  { "openai", openai("Rate limit reached for requests", "requests", "rate_limit_exceeded"),
    "quota", "cooling" },
  { "openai", openai("Incorrect API key provided: ***.", "invalid_request_error",
    "invalid_api_key"), "auth", "suspended" },
  { "perplexity", event("error", { type = "error", code = "rate_limit_exceeded",
    message = "Rate limit reached for requests" }), "quota", "cooling" },
  { "perplexity", event("response.failed", { type = "response.failed", response = {
    status = "failed", error = { code = "rate_limit_exceeded",
      message = "Rate limit reached for requests" } } }), "quota", "cooling" },
  { "anthropic", event("error", { type = "error", error = { type = "rate_limit_error",
    message = "This request would exceed your rate limit" } }), "quota", "cooling" },
  { "anthropic", event("error", { type = "error", error = { type = "authentication_error",
    message = "invalid x-api-key" } }), "auth", "suspended" },
  { "gemini", event(nil, { error = { code = 429, status = "RESOURCE_EXHAUSTED",
    message = "Resource has been exhausted (e.g. check quota)." } }), "quota", "cooling" },
  { "cohere", event("message-end", { type = "message-end", delta = { finish_reason = "ERROR_LIMIT",
    error = "generation failed" } }), "server", "ready" },
  { "twelvelabs", twelvelabs("RATE_LIMIT_EXCEEDED", "Rate limit exceeded"), "quota", "cooling" },
}

local classes = { quota = keycycle.RateLimitError, auth = keycycle.InvalidKeyError,
  server = keycycle.APIError }

-- Of each case the first request is broken off, the next gets the whole.
local SERVER = [[
local cases, seen = %s, {}
return function(request)
  local name = request.path:match "^/([^/]+)"
  seen[name] = (seen[name] or 0) + 1
  local case = cases[name]
  local pieces = seen[name] == 1 and case.broken or case.whole
  return 200, { ["content-type"] = case.kind }, pieces
end
]]

local function quoted(list)
  local out = {}
  for i, piece in ipairs(list) do out[i] = ("%q"):format(piece) end
  return "{" .. table.concat(out, ",") .. "}"
end

-- The events of a stream, and the place of the first with content.
local function events_of(text, kind)
  local list, content = {}, nil
  for piece in text:gmatch(kind:find "ndjson" and "[^\n]+\n" or ".-\n\r?\n") do
    list[#list + 1] = piece
    content = content or piece:find("You said", 1, true) and #list
  end
  return list, content
end

local server

setup(function()
  conform.start()
  local streams, cases = {}, {}
  for i, refusal in ipairs(refusals) do
    local name = refusal[1]
    if not streams[name] then
      local s <close> = conform.open(name)
      streams[name] = table.pack(recorded(s, s:request("a b", true)))
    end
    local text, kind = table.unpack(streams[name])
    local list, content = events_of(text, kind)
    for where, last in pairs { first = 0, early = content - 1, late = content } do
      local broken = table.move(list, 1, last, 1, {})
      broken[last + 1] = refusal[2]
      cases[#cases + 1] = ("[%q] = { kind = %q, whole = %s, broken = %s }")
        :format(where .. i, kind, quoted(list), quoted(broken))
    end
  end
  server = servers.canned(SERVER:format("{" .. table.concat(cases, ",\n") .. "}"))
end)
teardown(function()
  if server then server.stop() end
  conform.stop()
end)

for i, refusal in ipairs(refusals) do
  local name, _, kind, state = table.unpack(refusal)
  describe(("%s that says %s in a stream"):format(name, kind), function()
    local s
    before_each(function() s = conform.open(name, nil, { limits = {} }) end)
    after_each(function() s:close() end)

    local function open(where)
      return s:stream("a b", { base_url = server.url .. "/" .. where .. i,
        policy = kind == "server" and function() return "rotate" end or nil })
    end

    for _, where in ipairs { "first", "early" } do
      it(("goes to another key when it comes %s"):format(where), function()
        local stream = open(where)
        assert.equal(TEXT, stream:text())
        local info = keycycle.info(stream)
        assert.same({ { 1, 2 }, { kind, "ok" }, { 200, 200 } },
          { conform.trail(info.attempts, "key_index"), conform.trail(info.attempts, "kind"),
            conform.trail(info.attempts, "status") })
        assert.same({ state, "ready" }, s:states())
        -- What the broken attempt cost is not known: what was reserved for it counts.
        local used = s:used(1)
        assert.same({ 1, 0 }, { used[1], used[3] })
        assert.is_true(used[2] > 0)
      end)
    end

    it("raises it to the reader after the first content", function()
      local stream, texts = open "late", {}
      local class = classes[kind]
      local err = raises(class, nil, function()
        for chunk in stream do texts[#texts + 1] = s.form.said(chunk) end
      end)
      assert.equal("You said: a", table.concat(texts))
      assert.same({ 200, "aaaa-1", { 1 }, { kind } }, { err.status, err.key_suffix,
        conform.trail(err.attempts, "key_index"), conform.trail(err.attempts, "kind") })
      assert.same({ state, "ready" }, s:states())
      assert.is_nil(stream())
      local info, used = keycycle.info(stream), s:used()
      assert.same({ 1, info.usage.total_tokens, 0 }, used)
      assert.is_true(info.usage.output_tokens >= 3)
    end)
  end)
end
