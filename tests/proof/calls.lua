--- Calls that are told before and after each step, so that whoever listens knows all of
--- them up to a kill: `a` what is asked for, `A` its key or `r` that there was none, `c` how
--- it is settled, `C` that it was; times are seconds of the wall clock.
local proc = require "tests.support.proc"
local shop = require "tests.proof.shop"

local calls = {}

local tell = shop.tell
local count = 0

--- Asks for a key: `{ n, lease, tokens }`, or nil.
function calls.acquire(wrapper, provider, model, tokens)
  count = count + 1
  tell("a %d %s %s %d %.6f", count, provider, model, tokens, proc.wall())
  local lease = wrapper:get_manager(provider):get_key(model, { estimated_tokens = tokens })
  if not lease then
    tell("r %d", count)
    return nil
  end
  tell("A %d %d %.6f", count, lease.index, proc.wall())
  return { n = count, lease = lease, tokens = tokens }
end

--- Ends a call: "commit" with so many tokens, "sent" (nobody knows: what was reserved
--- counts), "never" (all is given back).
function calls.settle(call, how, tokens)
  tell("c %d %s %d %.6f", call.n, how, tokens, proc.wall())
  if how == "commit" then
    call.lease:commit(tokens)
  else
    call.lease:cancel { sent = how == "sent" }
  end
  tell("C %d %.6f", call.n, proc.wall())
end

return calls
