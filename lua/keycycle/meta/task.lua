---@meta _
--- Tasks: what `keycycle.spawn` and the calls of Async clients return.

--- A task; T is what its function returns.
---@class keycycle.Task<T>
---@field await fun(self: keycycle.Task<T>): T waits for its end and returns its results; raises the very error that it failed with
local task = {}

--- What it does: "ready" runs at the next step, "waiting" waits for something.
---@return "running"|"ready"|"waiting"|"done"|"failed"|"cancelled"
function task:status() end

--- Makes the task's wait, and each later one, raise CancelledError. Does not wait for its end.
---@param why? string the error's message
function task:cancel(why) end

--- What it failed with and where; nil where it has not failed.
---@return string?
function task:traceback() end

