--- The module is opened; what was loaded before the failure may stay.
return {
  { "require", function(w) w.keycycle = require "keycycle" end },
  { "a second time", function(w) assert(require "keycycle" == w.keycycle) end },
}
