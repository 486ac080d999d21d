--- The mock's TwelveLabs: analyses as lines of JSON, searches by form, limits by the
--- second at which they end, refusals without a body.
local indexes = require "keycycle.mock.twelvelabs_index"
local json = require "keycycle.json"
local multipart = require "keycycle.mock.multipart"
local turn = require "keycycle.mock.turn"

local DAY = 86400
local VECTOR = 16 -- numbers of an embedding

local function problem(fmt, ...)
  return nil, { message = fmt:format(...) }
end

local function read_analyze(body)
  if type(body.video_id) ~= "string" and type(body.video) ~= "table" then
    return problem "The video_id parameter is required but was not provided."
  elseif type(body.prompt) ~= "string" or body.prompt == "" then
    return problem "The prompt parameter is required but was not provided."
  end
  local format = type(body.response_format) == "table" and body.response_format or {}
  -- It streams unless it is told not to.
  return { model = body.model_name or "pegasus1.5", said = body.prompt,
    input = turn.tokens(body.prompt), most = turn.whole(body.max_tokens),
    stream = body.stream ~= false, schema = format.json_schema }
end

local function reason_of(t) return t.reason == "length" and "length" or "stop" end

local function answer_analyze(ask, t)
  return { id = ("mock-%d"):format(ask.seen), data = t.text, finish_reason = reason_of(t),
    usage = { output_tokens = t.output, input_tokens = t.input } }
end

local function line(data) return json.encode(data) .. "\n" end

local function events(ask, t)
  local id = ("mock-%d"):format(ask.seen)
  local list = { line { event_type = "stream_start", metadata = { generation_id = id } } }
  for _, piece in ipairs(turn.pieces(t.text)) do
    list[#list + 1] = line { event_type = "text_generation", text = piece }
  end
  list[#list + 1] = line { event_type = "stream_end", finish_reason = reason_of(t),
    metadata = { generation_id = id, usage = { output_tokens = t.output,
      input_tokens = t.input } } }
  return list, 1
end

local function broken(ask)
  return line { event_type = "stream_end", finish_reason = "error",
    error = { message = "An internal error occurred" },
    metadata = { generation_id = ("mock-%d"):format(ask.seen) } }
end

local function read_search(form)
  local index, options = multipart.part(form, "index_id"), multipart.part(form, "search_options")
  if not index or not index.value then
    return problem "The index_id parameter is required but was not provided."
  elseif not options then
    return problem "The search_options parameter is required but was not provided."
  end
  local query, media = multipart.part(form, "query_text"), multipart.part(form, "query_media_type")
  if not query and not media then
    return problem "The query_text parameter is required but was not provided."
  end
  local limit = multipart.part(form, "page_limit")
  return { model = "marengo3.0", said = query and query.value or "", input = 0,
    index = index.value, limit = math.tointeger(tonumber(limit and limit.value or 10)) or 10 }
end

local function answer_search(ask)
  local data = {}
  for i = 1, math.min(ask.limit, 3) do
    data[i] = { rank = i, score = 90 - 5 * i, start = 10 * i, ["end"] = 10 * i + 5,
      video_id = ("mock-video-%d"):format(i) }
  end
  return { search_pool = { total_count = 3, total_duration = 90, index_id = ask.index },
    data = json.array(data), page_info = { limit_per_page = ask.limit, total_results = #data } }
end

local kinds = { text = true, image = true, text_image = true, audio = true, video = true }

local function read_embed(body)
  local kind = body.input_type
  if not kinds[kind or ""] then
    return problem "The input_type parameter is required but was not provided."
  elseif type(body.model_name) ~= "string" then
    return problem "The model_name parameter is required but was not provided."
  elseif type(body[kind]) ~= "table" then
    return problem("The %s parameter is required but was not provided.", kind)
  end
  local text = kind == "text" and tostring(body.text.input_text) or ""
  return { model = body.model_name, said = text, input = 0, kind = kind }
end

local function answer_embed(ask)
  return { data = { { embedding = turn.vector(ask.said, VECTOR) } },
    metadata = { input_type = ask.kind } }
end

local function plain(status, code, text)
  return function(about)
    return about.status or status, { code = code, message = text }
  end
end

local function limited(about)
  -- The end of the mock's window; a day's ends at midnight, as far as is known.
  local reset = about.window == "day" and not about.metered and (about.now // DAY + 1) * DAY
    or about.now + about.wait
  local headers = { ["X-Ratelimit-Limit"] = ("%d"):format(about.limit),
    ["X-Ratelimit-Remaining"] = "0", ["X-Ratelimit-Used"] = ("%d"):format(about.used),
    ["X-Ratelimit-Reset"] = ("%d"):format(math.ceil(reset)) }
  if not about.path:find "/embed%-v2$" then return 429, "", headers end
  return 429, { error = { code = "RATE_LIMIT_EXCEEDED", message = "Rate limit exceeded",
    details = { retryAfter = ("%d"):format(math.ceil(reset - about.now)),
      currentLimit = ("%d %s per %s"):format(about.limit, about.unit, about.window) } } }, headers
end

return {
  base = "/v1.3",
  auth = { { header = "x-api-key" } },
  routes = {
    { method = "POST", path = "^/v1%.3/analyze$", read = read_analyze, answer = answer_analyze,
      events = events, broken = broken, stream_type = "application/x-ndjson" },
    { method = "POST", path = "^/v1%.3/search$", form = "multipart", silent = true,
      read = read_search, answer = answer_search },
    { method = "POST", path = "^/v1%.3/embed%-v2$", silent = true, read = read_embed,
      answer = answer_embed },
    table.unpack(indexes),
  },
  -- The codes but that of a key and of a cancelled request are guesses: none is documented.
  errors = {
    limited = limited,
    bad = function(about) return 400, { code = "parameter_invalid", message = about.message } end,
    auth = plain(401, "api_key_invalid", "API Key is either invalid or expired. Please check your "
      .. "API key or generate a new one from the dashboard and try again."),
    overloaded = plain(503, "service_unavailable", "Service is temporarily unavailable. Please "
      .. "try again later."),
    server = plain(500, "internal_server_error", "An internal error occurred"),
    context = plain(400, "token_limit_exceeded", "Your request could not be processed due to "
      .. "exceeding maximum token limit. Please try with another request or another video with "
      .. "shorter duration."),
    not_found = plain(404, "resource_not_exists", "The resource does not exist"),
    no_route = plain(404, "api_not_exists", "The API does not exist"),
    policy = plain(400, "content_policy_violation", "The request was refused by the content "
      .. "policy."),
  },
  limit_headers = function(meter, _, now)
    local limit, remaining, reset, used = meter:state("requests", "minute")
    if not limit then limit, remaining, reset, used = meter:state("requests", "day") end
    if not limit then return {} end
    return { ["X-Ratelimit-Limit"] = ("%d"):format(limit),
      ["X-Ratelimit-Remaining"] = ("%d"):format(remaining),
      ["X-Ratelimit-Used"] = ("%d"):format(used),
      ["X-Ratelimit-Reset"] = ("%d"):format(math.ceil(now + reset)) }
  end,
}
