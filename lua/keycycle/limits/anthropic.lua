--- Anthropic: an organisation's limits by class of models. They go by the money paid, so
--- without a tier there are none until headers tell.
---
--- Cached input does not count (but for Haiku 3.5), `max_tokens` is not reserved. All
--- models of one class (Opus 4.5 to 4.8, Sonnet 4.x) share one bucket; here each model has
--- its own. New organisations may be on a lower tier, workspaces have lower limits: the
--- headers tell.
local function class(requests, input, output)
  return { requests_per_minute = requests, input_tokens_per_minute = input,
    output_tokens_per_minute = output }
end

local function tier(fable, main, haiku35)
  return {
    ["claude-fable-5*"] = fable,
    ["claude-opus-5*"] = main,
    ["claude-opus-4*"] = main,
    ["claude-sonnet-5*"] = main,
    ["claude-sonnet-4*"] = main,
    ["claude-haiku-4-5*"] = main,
    ["claude-3-5-haiku*"] = haiku35,
  }
end

return {
  source = "platform.claude.com/docs/en/api/rate-limits",
  date = "2026-08-19",
  tiers = {
    start = tier(class(1000, 500000, 100000), class(1000, 2000000, 400000),
      class(1000, 100000, 20000)),
    build = tier(class(2000, 1500000, 300000), class(5000, 5000000, 1000000),
      class(2000, 200000, 40000)),
    scale = tier(class(4000, 4000000, 800000), class(10000, 10000000, 2000000),
      class(4000, 400000, 80000)),
  },
}
