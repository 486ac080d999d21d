--- JSON both ways, and what reads bodies.
local keycycle = require "keycycle"

local text = [[{"a":[1,2.5,-3e2,"text \u00e9 \ud83d\ude00",true,null],"b":{"c":{"d":[[],{}]}},]]
  .. [["long":"]] .. ("x"):rep(700) .. [[","n":12345678901234567890123456789012345678901234567890]]
  .. [[12345678901234567890}]]
local body = [[
{"error":{"message":"Rate limit reached","type":"tokens","code":"insufficient_quota"}}]]

return {
  { "decode", function(w) w.value = keycycle.json.decode(text) end },
  { "encode", function(w) w.text = keycycle.json.encode(w.value) end },
  { "refuse", function()
    local value, err = keycycle.try(keycycle.json.encode, { a = { print } })
    if err.code ~= "bad_request" then error(err, 0) end
    assert(value == nil and err.message:find "a%[1%]", err.message)
    value, err = keycycle.try(keycycle.json.decode, '{"a":')
    if err.code ~= "bad_request" then error(err, 0) end
    assert(value == nil)
  end },
  { "classify", function()
    local verdict = keycycle.classify("openai", { status = 429, body = body,
      headers = { ["Retry-After"] = "Wed, 21 Oct 2015 07:28:00 GMT" } })
    assert(verdict.kind == "payment", verdict.kind)
  end },
  check = function(w)
    local again = keycycle.json.decode(w.text)
    assert(again.a[4] == "text é 😀" and again.a[6] == keycycle.json.null and #again.long == 700)
    assert(keycycle.json.encode(again.b) == '{"c":{"d":[[],{}]}}')
  end,
}
