--- Gemini: a Google project's limits by model; keys of one project share them. The table
--- is the free tier's; the paid tiers' are shown inside AI Studio only.
---
--- The figures were read off AI Studio by others, not published; some lists have larger
--- ones (250 requests a day for 2.5 Flash). A refusal's body tells the truth. Tokens are
--- the input's. Requests a day begin anew at midnight in Los Angeles.
local pacific = "America/Los_Angeles"
local gemma = { requests_per_minute = 30, requests_per_day = 14400, tokens_per_minute = 15000,
  day_resets_at = pacific }
local speech = { requests_per_minute = 3, requests_per_day = 10, tokens_per_minute = 10000,
  day_resets_at = pacific }

local function flash(per_minute, per_day)
  return { requests_per_minute = per_minute, requests_per_day = per_day,
    tokens_per_minute = 250000, day_resets_at = pacific }
end

return {
  source = "ai.google.dev/gemini-api/docs/rate-limits; figures: AI Studio, by third parties",
  date = "2026-07-18",
  tier = "free",
  ["gemini-3.5-flash"] = flash(5, 20),
  ["gemini-3-flash-preview"] = flash(5, 20),
  ["gemini-2.5-flash"] = flash(5, 20),
  ["gemini-3.1-flash-lite*"] = flash(15, 500),
  ["gemini-2.5-flash-lite"] = flash(10, 20),
  ["gemini-3.1-flash-tts*"] = speech,
  ["gemini-2.5-flash-preview-tts"] = speech,
  ["gemini-2.5-flash-tts"] = speech,
  ["gemini-robotics-er-1.6-preview"] = flash(5, 20),
  -- 250 a day in January 2026.
  ["gemini-robotics-er-1.5-preview"] = flash(10, 20),
  ["gemma-3-27b-it"] = gemma,
  ["gemma-3-12b-it"] = gemma,
  ["gemma-3-4b-it"] = gemma,
  ["gemma-3-1b-it"] = gemma,
  tiers = {
    -- Money was paid: unlimited until a refusal tells.
    tier1 = {},
    tier2 = {},
    tier3 = {},
  },
}
