--- TwelveLabs: an account's limits by class of endpoints, which stands for the model. The
--- current version's table is not published; without a tier there are none until headers
--- tell.
---
--- The free plan's, as reported by third parties: embedding has 25 requests a minute for
--- video and sound, 600 for text and pictures. Both have one endpoint, so the lower holds.
return {
  source = "docs.twelvelabs.io, rate limits; figures: third parties",
  date = "2026-08-14",
  tiers = {
    free = { embed = { requests_per_minute = 25, requests_per_day = 3000 } },
  },
}
