local window = require "keycycle.refusal.window"

describe("the window that a sentence names", function()
  it("is found in each of the usual wordings", function()
    local sentences = {
      ["Rate limit reached on tokens per min (TPM): Limit 3"] = "minute",
      ["on requests per day (RPD): Limit 200"] = "day",
      ["Requests per Second (actual/limit)"] = "second", ["1000 API calls / month"] = "month",
      ["limited to 40 API calls / minute. You can"] = "minute",
      ["exceeded your per-minute rate limit"] = "minute", ["your daily rate limit"] = "day",
      ["hourly usage limit"] = "hour", ["Rate limit of 50 per 86400s exceeded"] = "day",
      ["input_tokens_per_minute_per_base_model"] = "minute", ["60/min"] = "minute",
      ["Tokens per hour limit exceeded"] = "hour", ["Limit exceeded (RPH)"] = "hour",
      ["your monthly quota"] = "month", ["9.0 queries per minute"] = "minute",
    }
    for text, want in pairs(sentences) do
      assert.equal(want, window.of_text(text), text)
    end
  end)

  it("is the first of several", function()
    assert.equal("minute",
      window.of_text "20 requests per minute. Buy credits for 1000 requests per day")
  end)

  it("is none where the words only look alike", function()
    for _, text in ipairs { "", "per request", "try again in a minute", "every day", "super day",
      "it took 5 min", "per minutely", "retry after 60 seconds", "a monthly report", "24/7",
      "https://x.y/day", "weekly usage limit" } do
      assert.is_nil(window.of_text(text), text)
    end
  end)
end)
