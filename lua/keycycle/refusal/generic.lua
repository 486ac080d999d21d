--- The rules that hold for every provider, after its own: names that many providers
--- share for the same thing, then the status alone. Data; no sentence decides here.
---
--- A name counts wherever an error object carries one: OpenAI's `code` and `type`,
--- Google's `status` and `reason`, the `type` of Anthropic and of servers written in
--- Python, whose classes of exceptions it names.
local names = { "error.code", "error.type", "error.status", "error.error_type",
  "error.error_code", "error.errorCode", "error.__type", "error.reason",
  "error.details[*].reason", "error.details.error_code", "error.metadata.error_type" }

local QUOTA_ID = "error.details[*].violations[*].quotaId"
local REFUSED = { 400, 401, 402, 403, 404, 409, 410, 412, 422, 429 }

local function named(kind, scope, status, list)
  return { path = names, op = "in", value = list, kind = kind, scope = scope, status = status }
end

local generic_rules = {}

--- By name, the exact ones before those that say little.
generic_rules.by_name = {
  -- Google's QuotaFailure; beside a day's quota it states a delay of seconds.
  { status = 429, path = QUOTA_ID, op = "contains", value = "PerDay", kind = "quota",
    scope = "model", window = "day", resets = "America/Los_Angeles" },
  { status = 429, path = QUOTA_ID, op = "contains", value = "PerMinute", kind = "quota",
    scope = "model", window = "minute" },
  named("payment", "key", REFUSED, { "project_spend_limit_exceeded" }),
  named("payment", "group", REFUSED, { "insufficient_quota", "credit_balance_exhausted",
    "organization_spend_limit_exceeded", "organization_usage_limit_exceeded",
    "billing_hard_limit_reached", "billing_not_active", "billing_error", "payment_required",
    "insufficient_balance", "insufficient_credits", "insufficient_funds",
    "exceeded_current_quota_error" }),
  named("auth", "group", REFUSED, { "account_deactivated", "organization_disabled",
    "account_suspended" }),
  named("auth", "key", REFUSED, { "invalid_api_key", "api_key_invalid", "api_key_expired",
    "expired_api_key", "wrong_api_key", "incorrect_api_key", "invalid_authentication",
    "authentication_error", "authentication_failed", "AuthenticationError", "UNAUTHENTICATED",
    "unauthorized", "invalid_token", "token_expired", "UnrecognizedClientException",
    "ExpiredTokenException" }),
  named("context_length", "request", nil, { "context_length_exceeded", "context_window_exceeded",
    "ContextWindowExceededError", "exceed_context_size_error", "too_many_prompt_tokens",
    "model_context_window_exceeded", "max_tokens_exceeded", "TOO_MANY_TOKENS" }),
  named("content_policy", "request", nil, { "content_filter", "content_policy_violation",
    "ContentPolicyViolationError", "ResponsibleAIPolicyViolation", "invalid_prompt",
    "moderation_blocked", "bio_policy", "refusal", "SAFETY" }),
  named("request_too_large", "request", nil, { "request_too_large", "payload_too_large",
    "request_entity_too_large", "RequestTooLarge" }),
  named("permission_region", "provider", nil, { "unsupported_country_region_territory",
    "USER_LOCATION_INVALID" }),
  named("overloaded", "provider", nil, { "overloaded_error", "server_is_overloaded",
    "engine_overloaded", "engine_overloaded_error", "overloaded", "queue_full", "queue_exceeded",
    "capacity_exceeded", "capacity_exhausted", "MODEL_CAPACITY_EXHAUSTED",
    "model_capacity_exhausted", "service_tier_capacity_exceeded", "provider_overloaded",
    "unavailable_error" }),
  named("overloaded", "provider", { 503 }, { "slow_down" }),
  named("temporary", "model", { 429 }, { "slow_down", "concurrency_limit_exceeded",
    "too_many_concurrent_requests" }),
  named("permission_region", "key", { 400, 401, 403, 451 }, { "permission_error",
    "permission_denied", "permission-denied", "PermissionDeniedError", "request_forbidden",
    "AccessDeniedException", "SERVICE_DISABLED", "BILLING_DISABLED",
    "CONSUMER_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED",
    "API_KEY_HTTP_REFERRER_BLOCKED" }),
  named("not_found", "model", { 400, 404, 410, 422 }, { "model_not_found", "unknown_model",
    "invalid_model", "model_not_available", "model_not_supported", "model_deprecated",
    "DeploymentNotFound", "not_found_error", "NotFoundError", "NOT_FOUND" }),
}

--- By name, where the status says nothing: an error inside a success or a stream.
generic_rules.without_status = {
  named("quota", "model", nil, { "rate_limit_exceeded", "rate_limit_error", "RateLimitError",
    "rate_limited", "rate_limit", "RateLimitReached", "too_many_requests",
    "too_many_requests_error", "RESOURCE_EXHAUSTED", "resource-exhausted", "ThrottlingException",
    "quota_exceeded" }),
  named("invalid_request", "request", nil, { "invalid_request_error", "INVALID_ARGUMENT",
    "FAILED_PRECONDITION", "invalid_request", "BadRequestError", "validation_error",
    "ValidationException" }),
  named("overloaded", "provider", nil, { "UNAVAILABLE", "service_unavailable_error",
    "service_unavailable", "ServiceUnavailableError", "provider_unavailable" }),
}

--- By status. What is not here: 5xx is the server's fault, all else the request's.
generic_rules.by_status = {
  { status = 401, kind = "auth", scope = "key" },
  { status = 402, kind = "payment", scope = "group" },
  { status = 403, kind = "permission_region", scope = "key" },
  { status = { 404, 410 }, kind = "not_found", scope = "model" },
  { status = 408, kind = "temporary", scope = "request" },
  { status = 413, kind = "request_too_large", scope = "request" },
  { status = 429, kind = "quota", scope = "model" },
  { status = 499, kind = "server", scope = "provider" }, -- a proxy's caller went away
  { status = 451, kind = "permission_region", scope = "provider" },
  { status = 501, kind = "invalid_request", scope = "request" },
  { status = { 503, 529 }, kind = "overloaded", scope = "provider" },
}

--- Fields that state a delay, whatever the provider: Google's RetryInfo (which routers
--- pass on), OpenRouter's availability, TwelveLabs' details.
generic_rules.delays = { "error.details[*].retryDelay", "error.availability.retry_after",
  "error.details.retryAfter", "error.retry_after", "error.retryAfter",
  "error.retry_after_seconds", "retry_after" }

--- Words by which the sentence of a 429 names the window that is used up: after "per"
--- or a slash, or before "limit" and "quota".
generic_rules.windows = {
  s = "second", sec = "second", second = "second", rps = "second",
  m = "minute", min = "minute", minute = "minute", rpm = "minute", tpm = "minute",
  h = "hour", hour = "hour", hourly = "hour", rph = "hour", tph = "hour",
  d = "day", day = "day", daily = "day", rpd = "day", tpd = "day",
  month = "month", monthly = "month",
}

return generic_rules
