--- DeepSeek: how many requests an account may have under way at once, whatever the key.
--- There is no other limit.
return {
  source = "api-docs.deepseek.com/quick_start/rate_limit",
  date = "2026-08-22",
  ["deepseek-flash*"] = { concurrent_requests = 2500 },
  ["deepseek-v4-pro*"] = { concurrent_requests = 500 },
}
