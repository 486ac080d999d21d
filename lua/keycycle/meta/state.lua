---@meta keycycle.core
--- What the C module knows of the program and the Lua state that it is in.
local core = {}

--- Whether a file descriptor (1: standard output) is a terminal; its columns and rows.
function core.isatty(fd) end
---@return integer? columns, integer? rows
function core.terminal_size(fd) end

--- After a fork, in the child: true.
function core.forked() end

--- Drops all connections, and forgets that the library was loaded: whoever requires it
--- next loads it anew. Until then whatever needs the loop raises (code "closed").
function core.close() end

--- The function that makes the error object which C raises on misuse of a
--- lease: fn(code, message) -> object.
function core.set_error(fn) end

return core
