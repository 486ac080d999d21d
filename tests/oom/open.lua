--- The module is opened; what was loaded before the failure may stay.
return {
  { "require", function(w)
    w.keycycle = require "keycycle"
    w.keycycle.log.set_level "off"
  end },
  { "host", function(w)
    if not w.oom.host() and w.oom.hits() == 0 then error "the host's functions failed" end
  end },
  { "a second time", function(w) assert(require "keycycle" == w.keycycle) end },
}
