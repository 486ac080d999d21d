---@meta keycycle.core
--- What statistics are read with; the rest of the C module is in core.lua.

local core = {}

---@class keycycle.core.reader
local reader = {}
--- Opens the store behind `url` for who only reads: it makes no file and changes nothing.
---@return keycycle.core.reader?, table? err codes not_found bad_url no_such_store store
--- corrupt
function core.store_reader(url) end
--- What the store knows: `{ totals, pair_counts, states }`, or nil, err. Totals are, in
--- this order, of all, providers (by name), keys, models, pairs of both (those that have
--- used most first, of each provider no more than `most` pairs; pair_counts[provider] is
--- how many it has): kind, provider, key (hash), label, suffix, model ("" where it has
--- none); counts, a list: requests, input, output, total tokens in all, with what is held,
--- then rpm, rph, rpd, tpm, tph, tpd as limits count them at `now`; days, a list: the
--- first four counts of each day, one day after the other. A state: provider, key (or
--- "group:" and its name), label, suffix, model ("": all), state as it was set, disabled,
--- until_at (epoch seconds; nil: none), reason, learned ("requests_per_minute=60 …").
---@param now number epoch seconds
---@param first_day number where the first of the days begins
---@param days? integer how many (default 1)
---@param most? integer
function reader:report(now, first_day, days, most) end
--- Idempotent; so do __close and __gc.
function reader:close() end

return core
