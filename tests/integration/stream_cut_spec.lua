--- A recorded stream of every dialect, cut at every byte and split at every byte, over
--- real connections: the reader has the whole text, or a part of it and then an error;
--- nothing is said twice, and what was used is settled once.
--- KEYCYCLE_CUT_STRIDE=n: at every n-th byte only, for slow builds.
local core = require "keycycle.core"
local keycycle = require "keycycle"
local conform = require "tests.support.conform"
local recorded = require "tests.support.recorded"
local servers = require "tests.support.servers"

local STRIDE = tonumber(os.getenv "KEYCYCLE_CUT_STRIDE") or 1
local TEXT = "You said: a b"
local UNASKED = "openai, whose usage is not asked for"
-- How bytes are framed and lines are found makes no difference between dialects.
local framed = { openai = true, twelvelabs = true }
local ways = { "openai", UNASKED, "perplexity", "anthropic", "gemini", "cohere", "twelvelabs" }

local raw

setup(function()
  conform.start()
  raw = servers.raw()
end)
teardown(function()
  raw.stop()
  conform.stop()
end)

local function request_of(s, way)
  local request = s:request("a b", true)
  if way == UNASKED then request.stream_options = nil end
  return request
end

-- What the server sends, head and body, as it may stand on the wire.
local function record(s, way)
  local body, kind = recorded(s, request_of(s, way))
  local head = ("HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"):format(kind)
  local chunks = {}
  for piece in body:gmatch(("."):rep(99) .. "?[^\n]*\n*") do
    chunks[#chunks + 1] = ("%x\r\n%s\r\n"):format(#piece, piece)
  end
  return {
    plain = head .. "connection: close\r\n\r\n" .. body,
    chunked = head .. "transfer-encoding: chunked\r\n\r\n" .. table.concat(chunks) .. "0\r\n\r\n",
  }
end

-- Has `text` served by the raw server: the address up to what is done with it.
local function serve(text)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
  return raw.url "/play?file=" .. path .. "&", path
end

local opts = { max_retries = 1, policy = function() return "rotate" end }

-- Reads a stream to its end: its text, whether it ended well, what was raised, info.
local function read(s, way, base_url)
  opts.base_url = base_url
  local stream = s.form.call(s.client, true)(request_of(s, way), opts)
  local texts = {}
  local ok, err = pcall(function()
    for chunk in stream do texts[#texts + 1] = s.form.said(chunk) end
  end)
  return table.concat(texts), ok, err, keycycle.info(stream)
end

-- What must hold of a stream that was cut; returns how many attempts it took.
local function check(s, way, at, base_url)
  local text, ok, err, info = read(s, way, base_url)
  local said = ("%s cut at %d: %q, %s"):format(way, at, text, tostring(err))
  local tries = #info.attempts
  if tries == 2 then
    assert(ok and text == TEXT and info.attempts[1].kind ~= "ok" and info.key_index == 2, said)
  else
    assert(TEXT:sub(1, #text) == text, said)
    assert(ok == (text == TEXT and info.attempts[1].kind == "ok"), said)
    assert(ok or keycycle.is(err, keycycle.TransportError) and err.attempts == info.attempts, said)
  end
  assert(info.usage.total_tokens > 0, said)
  return tries, ok
end

for _, way in ipairs(ways) do
  describe("a stream of " .. way, function()
    local s, forms
    setup(function()
      s = conform.open(way == UNASKED and "openai" or way, nil, { limits = {} })
      forms = record(s, way)
    end)
    teardown(function() s:close() end)

    local function cut(form)
      local url, path = serve(forms[form])
      local requests, failed, again = s:used()[1], 0, 0
      for at = 0, #forms[form], STRIDE do
        local tries, ok = check(s, way, at, ("%scut=%d&"):format(url, at))
        requests, again, failed = requests + tries, again + tries - 1, failed + (ok and 0 or 1)
      end
      os.remove(path)
      local used = s:used()
      assert.same({ requests, 0 }, { used[1], used[3] })
      assert.equal(0, core.pending())
      -- Each of the two happens: before the content, and after it.
      assert.is_true(again > 100 // STRIDE and failed > 10 // STRIDE)
    end

    it("that is cut at any byte is whole, or says so", function() cut "plain" end)

    if not framed[way] then return end

    it("that is cut at any byte of its chunks is whole, or says so", function() cut "chunked" end)

    it("that comes in two pieces reads the same wherever it is split", function()
      local url, path = serve(forms.chunked)
      for at = 0, #forms.chunked - 1, STRIDE do
        local text, ok, err = read(s, way, ("%ssplit=%d&"):format(url, at))
        assert(ok and text == TEXT, ("%s split at %d: %q, %s"):format(way, at, text, tostring(err)))
      end
      os.remove(path)
    end)
  end)
end
