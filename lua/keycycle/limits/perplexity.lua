--- Perplexity: an account's limits by its tier, requests alone; without a tier there are
--- none. They are those of the Agent API, of all models together; the search API has 50
--- requests a second of its own, which are counted among them here.
local function agent(per_second, per_minute)
  return { default = { requests_per_minute = per_minute,
    windows = { { seconds = 1, requests = per_second } } } }
end

return {
  source = "docs.perplexity.ai, rate limits and usage tiers",
  date = "2026-08-22",
  tiers = {
    tier0 = agent(1, 50),
    tier1 = agent(3, 150),
    tier2 = agent(8, 500),
    tier3 = agent(17, 1000),
    tier4 = agent(33, 2000),
    tier5 = agent(33, 2000),
  },
}
