--- What a refusal means: `{ kind, scope, window, retry_after, reset_after }`.
---
--- First the adapter's own function and ordered rules, then the names that providers
--- share, then the status alone. No body can make it raise or run long: what is not
--- understood is classified by its status.
---
--- retry_after is the delay that the answer states, in seconds; reset_after, where it
--- is known, how long it really takes until the window that is used up begins anew
--- (Gemini states seconds for a day's quota): classify.cooling gives the one to obey.
local ascii = require "keycycle.ascii"
local core = require "keycycle.core"
local delay = require "keycycle.refusal.delay"
local error_body = require "keycycle.refusal.body"
local errors = require "keycycle.errors"
local generic_rules = require "keycycle.refusal.generic"
local hook = require "keycycle.loader.hook"
local paths = require "keycycle.refusal.paths"
local rules = require "keycycle.refusal.rules"
local window = require "keycycle.refusal.window"

local classify = {}

local MAX_ERROR_BODY = 64 * 1024
-- A 429 whose stated delay is shorter is waited for on the same key.
local TEMPORARY_BELOW = 10

--- What the provider says in words; nil when it says nothing readable.
classify.message = error_body.message

--- A body on its way into an error: without the keys it may echo, and cut.
---@param pool userdata whose keys they are
---@param body string
function classify.shown(pool, body)
  local text, err = pool:redact(body)
  if not text then error(errors.from_core(err), 0) end
  return text:sub(1, MAX_ERROR_BODY)
end

--- Whether a verdict says that a rate or a quota is used up, rather than that
--- something else was refused for a while.
---@param status? integer the status that came, which of a 408 is no limit
function classify.is_limit(verdict, status)
  return verdict.kind == "quota" or (verdict.kind == "temporary" and status ~= 408)
end

--- How long a spent quota keeps its key away, in seconds; nil: nothing says.
function classify.cooling(verdict)
  local stated, reset = verdict.retry_after, verdict.reset_after
  return stated and reset and math.max(stated, reset) or stated or reset
end

--- Header fields by lower-case names, as texts; what is no table is none.
function classify.lower_names(headers)
  local out = {}
  for name, value in pairs(type(headers) == "table" and headers or {}) do
    if type(name) == "string" then out[ascii.lower(name)] = ascii.text(value) end
  end
  return out
end

local generic = {
  by_name = rules.check(generic_rules.by_name, "(any)"),
  without_status = rules.check(generic_rules.without_status, "(any)"),
  by_status = rules.check(generic_rules.by_status, "(any)"),
  delays = paths.compile(generic_rules.delays),
}

-- Statuses behind which a gateway, or the begin of a stream, hides the provider's own.
local hiding = { [500] = true, [502] = true }

-- The status that counts, nil where none says no.
local function effective_status(status, stated)
  if not status or status < 300 then return stated end
  return hiding[status] and stated or status
end

-- An answer as rules and functions see it.
local function read(response)
  local body = error_body.read(response.body)
  local status = math.tointeger(tonumber(response.status))
  return { status = effective_status(status, body.status), sent_status = status,
    headers = classify.lower_names(response.headers), layers = body.layers, texts = body.texts,
    body = body.body }
end

local function no_verdict(said)
  if said == nil or type(said) == "table" and rules.kinds[said.kind] then return nil end
  local kind = type(said) == "table" and said.kind or said
  return "it returned no kind that is known: " .. tostring(kind)
end

-- What a provider's function says, checked; nil: nothing, and its rules decide.
local function by_function(adapter, fn, seen)
  local what = ("provider %s: classify"):format(adapter.name or "?")
  local _, said = hook.call({ what = what, check = no_verdict }, fn, { status = seen.sent_status,
    headers = seen.headers, body = seen.body, message = table.concat(seen.texts, "\n") })
  if said == nil then return nil end
  return { kind = said.kind, scope = rules.scopes[said.scope] and said.scope or "key",
    window = rules.windows[said.window] and said.window or nil,
    retry_after = delay.clamp(tonumber(said.retry_after)) }
end

local function verdict_of(rule)
  return { kind = rule.kind, scope = rule.scope or "key", window = rule.window }, rule
end

local function first_fit(list, seen, adapter)
  for _, rule in ipairs(list) do
    if type(rule) == "function" then
      local verdict = by_function(adapter, rule, seen)
      if verdict then return verdict, rule end
    elseif rules.fits(rule, seen) then
      return verdict_of(rule)
    end
  end
  return nil
end

local function by_status(seen)
  local status = seen.status
  local verdict, rule = first_fit(generic.by_status, seen)
  if verdict then return verdict, rule end
  if not status or status >= 500 then return { kind = "server", scope = "provider" } end
  return { kind = "invalid_request", scope = "request" }
end

local function generic_verdict(seen)
  local verdict, rule = first_fit(generic.by_name, seen)
  if not verdict and not seen.status then
    verdict, rule = first_fit(generic.without_status, seen)
  end
  if verdict then return verdict, rule end
  return by_status(seen)
end

-- The delay that the answer states: in headers, the rule's field, the fields that are
-- known, its sentences.
local function stated_delay(seen, rule, now)
  local found = delay.of_headers(seen.headers, now)
  local function value(v) return delay.of_value(v, now) end
  found = found or rule and rule.delay and paths.first(rule.delay, seen, value)
    or paths.first(generic.delays, seen, value)
  for _, text in ipairs(seen.texts) do
    local spoken = delay.of_text(text)
    -- Google's field is cut to whole seconds, its sentence is not.
    if spoken and (not found or spoken > found and spoken < found + 1) then return spoken end
  end
  return found
end

local function window_in(texts)
  for _, text in ipairs(texts) do
    local found = window.of_text(text)
    if found then return found end
  end
  return nil
end

local short = { second = true, minute = true }

-- Fills in what the answer says of time. What a function said is left as it is.
local function finish(verdict, rule, seen, now)
  local fixed = type(rule) == "function"
  if fixed then rule = nil end
  local wait = verdict.retry_after or stated_delay(seen, rule, now)
  verdict.retry_after = wait
  if verdict.kind == "quota" and not fixed then
    verdict.window = verdict.window or window_in(seen.texts)
    local brief = not verdict.window or short[verdict.window]
    if brief and wait and wait < TEMPORARY_BELOW then verdict.kind = "temporary" end
  end
  if rule and rule.resets then
    verdict.reset_after = delay.until_reset(verdict.window, rule.resets, now)
  end
  return verdict
end

--- Classifies a response.
---@param adapter? table the provider's definition
---@param response table status, headers (by name), body (text or table)
---@param now? number epoch seconds
---@return table verdict kind, scope, window, retry_after, reset_after
function classify.classify(adapter, response, now)
  local seen = read(response)
  local own = adapter and rules.check(adapter.classify, adapter.name or "?") or {}
  local verdict, rule = first_fit(own, seen, adapter)
  if not verdict then verdict, rule = generic_verdict(seen) end
  return finish(verdict, rule, seen, now or core.now())
end

return classify
