--- What the scheduler has to do: tasks that can go on, and ends to be told.
---
--- Memory may run out anywhere, but both lists run through the tasks themselves:
--- what is put into them is not lost, and takes none. Their fields are made with the
--- task (`false`, never nil: a key that is gone would need room again).
local core = require "keycycle.core"

local runnable = {}

local first, last = false, false -- a queue, linked by `behind`
local pushed = 0                 -- how many ever were
local untold = false             -- ended, on_end not called to its end; linked by `before`
local stepping = false           -- a turn is under way: it wakes at its end

--- Queues a task, unless it is queued or has ended.
---@param t table done, queued, turn, behind
function runnable.push(t)
  if t.queued or t.done then return end
  pushed = pushed + 1
  t.queued, t.turn = true, pushed
  if last then last.behind = t else first = t end
  last = t
  if first == t and not stepping then core.wake() end
end

--- The number of the last one that was pushed.
function runnable.last_turn()
  return pushed
end

--- The next task, if its number is at most `upto`: it stays where it is.
function runnable.next(upto)
  return first and first.turn <= upto and first
end

--- Takes the next task off the queue.
function runnable.pop()
  local t = first
  first, t.behind, t.queued = t.behind, false, false
  if not first then last = false end
end

--- Whether there is anything to do.
function runnable.any()
  return (first or untold) ~= false
end

--- A turn of the loop begins: what is queued in it needs no wake.
function runnable.begin_step()
  stepping = true
end

--- What is left for the next turn wakes the host: this one has used up its wake.
function runnable.wake()
  if (first or untold) and not stepping then core.wake() end
end

--- The turn has ended. What `failed` in it may have left anything undone.
---@param failed? boolean
function runnable.end_step(failed)
  stepping = false
  if failed then core.wake() else runnable.wake() end
end

--- Marks a task or a group as ended; `tell` calls what waits for that.
---@param what table on_end (a list of functions), listed, before
function runnable.ended(what)
  what.done = true
  if what.listed then return end
  what.listed, what.before, untold = true, untold, what
end

-- Called again when it raised, which it does for want of memory only.
local function call_all(what)
  while what.on_end[1] do
    local fn = what.on_end[1]
    fn(what)
    if what.on_end[1] == fn then table.remove(what.on_end, 1) end
  end
end

--- Calls the functions that wait for what has ended.
function runnable.tell()
  while untold do
    local what = untold
    call_all(what)
    if untold == what then
      untold, what.before, what.listed = what.before, false, false
    end
  end
end

return runnable
