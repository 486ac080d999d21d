---@meta keycycle.core
--- What statistics are read with; the rest of the C module is in core.lua.

local core = {}

---@class keycycle.core.reader
local reader = {}
--- Opens the store behind `url` for who only reads: it makes no file and changes nothing.
---@return keycycle.core.reader?, table? err codes not_found bad_url no_such_store store
--- corrupt
function core.store_reader(url) end
--- What the store knows: `{ entries, states }`, or nil, err. An entry is a provider's key
--- and model: provider, key (hash), label, suffix, model; counts, a list: requests, input,
--- output, total tokens in all, with what is held, then rpm, rph, rpd, tpm, tph, tpd as
--- limits count them at `now`; days, a flat list: of each day since `days_from` its start
--- (epoch seconds), requests, input, output, total tokens. A state: provider, key (or
--- "group:" and its name), label, suffix, model ("": all), state as it was set, disabled,
--- until_at (epoch seconds; nil: none), reason, learned ("requests_per_minute=60 …").
---@param now number epoch seconds
---@param days_from number epoch seconds
function reader:report(now, days_from) end
--- Idempotent; so do __close and __gc.
function reader:close() end

return core
