--- Perplexity: an account's limits by its tier, requests alone; without a tier there are
--- none. They are those of the Agent API; models of Sonar (to end on 2026-09-27) had 50 a
--- minute on the lowest tier, and 5 for deep research.
local function agent(per_second, per_minute)
  return { default = { requests_per_minute = per_minute,
    windows = { { seconds = 1, requests = per_second } } } }
end

local lowest = agent(1, 50)
lowest["sonar-deep-research"] = { requests_per_minute = 5 }

return {
  source = "docs.perplexity.ai, rate limits and usage tiers",
  date = "2026-08-22",
  tiers = {
    tier0 = lowest,
    tier1 = agent(3, 150),
    tier2 = agent(8, 500),
    tier3 = agent(17, 1000),
    tier4 = agent(33, 2000),
    tier5 = agent(33, 2000),
  },
}
