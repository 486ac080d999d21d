--- TwelveLabs: an account's limits by class of endpoints, whose table for the current
--- version is not published; without a tier there are none until headers tell.
---
--- The free plan's: searching and analysing count by endpoint; embedding has 25 requests a
--- minute for video and sound, 600 for text and pictures, as reported by third parties.
--- The models of both are the same, so the lower figure holds.
return {
  source = "docs.twelvelabs.io, rate limits; figures: third parties",
  date = "2026-08-14",
  tiers = {
    free = { ["marengo*"] = { requests_per_minute = 25, requests_per_day = 3000 } },
  },
}
