--- keycycle check: asks each key for the list of models, the cheapest call.
--- usage: keycycle check [PROVIDER [BASE_URL]]
local keycycle = require "keycycle"

local name, base_url = arg[1] or "openai", arg[2]
local wrapper <close> = keycycle.MultiClientWrapper.from_env { [name] = { base_url = base_url } }
local manager = wrapper:get_manager(name)
local bad = 0

local function verdict(index)
  local client = wrapper:get_rotating_client(name, {
    key_id = index, pin_key = true, max_retries = 0, wait = false,
  })
  local ok, err = pcall(function() return client.models:list() end)
  if ok then return "ok" end
  bad = bad + 1
  if keycycle.is(err, keycycle.InvalidKeyError) then return "invalid" end
  if err.status == 429 then
    return ("limited%s"):format(err.retry_after and (" for %.0f s"):format(err.retry_after) or "")
  end
  if err.status == 403 then return "no access" end
  return tostring(err)
end

for _, key in ipairs(manager:keys()) do
  print(("%3d  %-8s  %s"):format(key.index, key.suffix, verdict(key.index)))
end
return bad == 0 and 0 or 1
