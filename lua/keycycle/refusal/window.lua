--- Which window the sentence of a spent quota names: "on tokens per min (TPM)",
--- "20 API calls / minute", "your daily rate limit", "50 per 86400s".
---
--- The first that is named counts: what follows tends to be an offer ("add credits
--- for 1000 requests per day").
local ascii = require "keycycle.ascii"
local generic_rules = require "keycycle.refusal.generic"

local window = {}

local MOST_TEXT = 1000
local names = generic_rules.windows
local by_length = { [1] = "second", [60] = "minute", [3600] = "hour", [86400] = "day" }

-- Each: a pattern whose capture is a window's name, bounded by the words around it.
local patterns = {
  "()%f[%a]per[ _%-](%a+)", "()%d ?/ ?(%a+)", "()%a ?/ (%a+)", "()%f[%a](%a+ly) [%a ]-limit",
  "()%f[%a](%a+ly) [%a ]-quota", "()%((%a+)%)",
}

local function earlier(best, at, name)
  if name and (not best or at < best.at) then return { at = at, name = name } end
  return best
end

--- The window that a text names; nil: none.
---@param text string
---@return string?
function window.of_text(text)
  text = ascii.lower(text:sub(1, MOST_TEXT))
  local best
  for _, pattern in ipairs(patterns) do
    for at, word in text:gmatch(pattern) do
      best = earlier(best, at, names[word])
    end
  end
  for at, seconds in text:gmatch "()%f[%a]per (%d+) ?s%f[^%a]" do
    best = earlier(best, at, by_length[math.tointeger(tonumber(seconds))])
  end
  return best and best.name
end

return window
