--- Where an error came from: the stacks of the tasks and generators that it ended.
---
--- An error goes from a task to whoever awaits it as it is, and a text has no room for a
--- stack: so the last one that was raised again is remembered, until the next turn of the
--- loop. An error object of ours keeps its stack in `traceback`.
local errors = require "keycycle.errors"
local log = require "keycycle.log"

local trace = {}

local raised, stack = false, false -- the last error that was raised again, and its stacks

--- The stacks that `err` has come from, as text; nil where it is known of none.
---@param err any
---@return string?
function trace.known(err)
  if errors.is_error(err) and err.traceback then return err.traceback end
  return rawequal(err, raised) and stack or nil
end

--- The stacks of an error that has just ended the coroutine `co`: those that it came
--- from, then this one.
---@param co thread
---@param err any
---@return string
function trace.of(co, err)
  local before, own = trace.known(err), debug.traceback(co)
  if not before then return own end
  return before .. own:gsub("^stack traceback:", "\nraised again in:", 1)
end

--- Raises `err` as it is, after the stacks that it came from were noted.
---@param err any
---@param from string|false of `trace.of`
function trace.raise(err, from)
  raised, stack = err, from
  error(err, 0)
end

--- The text of an error with the stacks that it came from.
---@param err any
---@param from string|false of `trace.of`
---@return string
function trace.text(err, from)
  return tostring(err) .. (from and "\n" .. from or "")
end

local unseen_mt = {
  __gc = function(unseen)
    local t = unseen.task
    if t.observed then return end
    t.observed = true
    log.error("a task failed and nobody awaited it: %s", trace.text(t.err, t.trace))
  end,
}

--- What a task that has failed is to keep: collected with it, also by a state that is
--- being closed, it logs an error that nobody has seen. Only these have a finalizer: Lua's
--- collector walks over all objects that have one without a pause.
---@param t table err, trace, observed
---@return table? unseen nil: it was cancelled, which needs no telling
function trace.watch(t)
  if errors.is(t.err, errors.CancelledError) then return nil end
  return setmetatable({ task = t }, unseen_mt)
end

--- Forgets the last error, which would be kept alive.
function trace.forget()
  raised, stack = false, false
end

return trace
