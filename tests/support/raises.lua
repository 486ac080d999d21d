--- `raises(class, word, fn, …)`: fn raises an error of the class whose text holds
--- the word (nil: any); the error object.
local keycycle = require "keycycle"
local luassert = require "luassert"

return function(class, word, fn, ...)
  local ok, err = pcall(fn, ...)
  luassert.is_false(ok, "nothing was raised")
  luassert.is_true(keycycle.is(err, class), tostring(err))
  if word then luassert.truthy(tostring(err):find(word, 1, true), tostring(err)) end
  return err
end
