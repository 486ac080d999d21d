--- JSON for programs: the C module's, raising instead of returning errors.
local core = require "keycycle.core"
local errors = require "keycycle.errors"

local json = { null = core.json.null, array = core.json.array }

local function check(value, why)
  if value == nil and why then
    errors.raise(errors.KeycycleError, { code = "bad_request", message = why })
  end
  return value
end

--- Text for a value. An empty table is `{}` unless json.array marks it. Raises
--- KeycycleError (`bad_request`) naming the place of what JSON cannot say.
function json.encode(value)
  return check(core.json.encode(value))
end

--- The value of a text; null is json.null. Raises KeycycleError (`bad_request`).
function json.decode(text)
  return check(core.json.decode(text))
end

return json
