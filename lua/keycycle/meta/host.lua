---@meta keycycle.host
--- The program `keycycle`, for the scripts that it runs: in any other program there is no
--- such module.
---@class keycycle.host
---@field program string the path of the program
local host = {}

--- The name of the signal that has stopped the script ("SIGINT", "SIGTERM", "SIGHUP",
--- "SIGPIPE"), for one that has caught the error; nil: none has. Without this question
--- the program ends by that signal once the script has ended, and at once when another
--- one comes. A SIGINT (Ctrl-C) is over with it: the next one raises an error again.
---@return string?
function host.interrupted() end

return host
