--- The mock's Azure OpenAI: OpenAI's form under a deployment's path or under /openai/v1,
--- with its filters' results and its own refusals.
local chat = require "keycycle.mock.openai_chat"
local family = require "keycycle.mock.openai_family"
local json = require "keycycle.json"
local other = require "keycycle.mock.openai_other"

local VERSION = "2024-10-21"
local DEPLOYMENT = "^/openai/deployments/([^/]+)"

local safe = { hate = { filtered = false, severity = "safe" },
  self_harm = { filtered = false, severity = "safe" },
  sexual = { filtered = false, severity = "safe" },
  violence = { filtered = false, severity = "safe" } }

local function code(status, name, message)
  return status, { error = { code = name, message = message } }
end

-- What is free only after a day is a free account's.
local function limited(about)
  local seconds = about.window == "day" and 86400 or math.ceil(about.wait)
  local status, body = code(429, "429", ("Requests to the ChatCompletions_Create Operation under "
    .. "Azure OpenAI API version %s have exceeded %s rate limit of your current OpenAI S0 pricing "
    .. "tier. Please retry after %d seconds. Please go here: https://aka.ms/oai/quotaincrease if "
    .. "you would like to further increase the default rate limit."):format(VERSION,
    about.unit == "requests" and "call" or "token", seconds))
  return status, body, { ["retry-after"] = ("%d"):format(seconds),
    ["retry-after-ms"] = ("%d"):format(seconds * 1000) }
end

local function policy()
  local result = { hate = safe.hate, self_harm = safe.self_harm, sexual = safe.sexual,
    violence = { filtered = true, severity = "medium" } }
  return 400, { error = { message = "The response was filtered due to the prompt triggering Azure "
    .. "OpenAI's content management policy. Please modify your prompt and retry. To learn more "
    .. "about our content filtering policies please read our documentation: "
    .. "https://go.microsoft.com/fwlink/?linkid=2198766", type = json.null, param = "prompt",
    code = "content_filter", status = 400, innererror = {
      code = "ResponsibleAIPolicyViolation", content_filter_result = result } } }
end

local function prompt_results()
  return { { prompt_index = 0, content_filter_results = safe } }
end

local shape = {
  usage = "asked",
  -- The first event of a stream has no choices but the prompt's results.
  before = { "data: " .. json.encode { id = "", object = "", created = 0, model = "",
    choices = json.array {}, prompt_filter_results = prompt_results() } .. "\n\n" },
  answer = function(body)
    body.prompt_filter_results = prompt_results()
    for _, choice in ipairs(body.choices) do choice.content_filter_results = safe end
  end,
  chunk = function(body, place)
    for _, choice in ipairs(body.choices) do
      choice.content_filter_results = place == "content" and safe or {}
    end
  end,
}

-- A route under a deployment wants the version of the API.
local function versioned(route)
  local read = route.read
  function route.read(body, captures, visit)
    if not visit.query["api-version"] then return nil, { kind = "no_route" } end
    return read(body, captures, visit)
  end
  return route
end

local deployed = { path = DEPLOYMENT .. "/chat/completions$", model_in_path = true }
for k, v in pairs(shape) do deployed[k] = v end

return family.new {
  base = "",
  prefix = "/openai/v1",
  endpoints = { "chat", "responses", "embeddings", "models" },
  models = { "gpt-4o-mini" },
  shape = shape,
  auth = { { header = "api-key" }, { header = "authorization", prefix = "bearer " } },
  id_header = "apim-request-id",
  routes = {
    versioned(chat.route(deployed)),
    versioned(other.embeddings(DEPLOYMENT .. "/embeddings$", true)),
    versioned(other.transcription(DEPLOYMENT .. "/audio/transcriptions$", nil, true)),
    versioned(other.models("^/openai/models$", { "gpt-4o-mini" })),
  },
  errors = {
    limited = limited,
    policy = policy,
    auth = function()
      return code(401, "401", "Access denied due to invalid subscription key or wrong API "
        .. "endpoint. Make sure to provide a valid key for an active subscription and use a "
        .. "correct regional API endpoint for your resource.")
    end,
    no_route = function() return code(404, "404", "Resource not found") end,
    not_found = function()
      return code(404, "DeploymentNotFound", "The API deployment for this resource does not exist. "
        .. "If you created the deployment within the last 5 minutes, please wait a moment and "
        .. "try again.")
    end,
    overloaded = function(about)
      return code(429, "429", ("The system is currently experiencing high demand and cannot "
        .. "process your request. Your request exceeds the maximum usage size allowed during peak "
        .. "load. Please retry after %d seconds."):format(math.ceil(about.wait or 20)))
    end,
  },
  limit_headers = function(meter)
    local headers = {}
    for _, unit in ipairs { "requests", "tokens" } do
      local limit, remaining, reset = meter:state(unit, "minute")
      if limit then
        headers["x-ratelimit-limit-" .. unit] = ("%d"):format(limit)
        headers["x-ratelimit-remaining-" .. unit] = ("%d"):format(remaining)
        -- Milliseconds here, seconds on other hosts of Azure: a client must not rely on it.
        headers["x-ratelimit-reset-" .. unit] = ("%d"):format(math.ceil(reset * 1000))
        headers["x-ratelimit-renewalperiod-" .. unit] = "60"
      end
    end
    return headers
  end,
}
