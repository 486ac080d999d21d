--- What a store knows, summed up: in all, by provider, by key, by model, by key and
--- model; in all time, over days (UTC), in the windows up to now.
---
--- Pure: it is told what was found, and the time.
local usage_report = {}

local DAY = 86400
local COUNTS = { "requests", "input_tokens", "output_tokens", "total_tokens" }
local WINDOWS = { "rpm", "rph", "rpd", "tpm", "tph", "tpd" }
local REQUESTS, TOKENS, REQUESTS_OF_DAY, TOKENS_OF_DAY = 1, 4, 7, 10 -- among all of them

--- The beginning of the first of `days` days of which the last one is running.
---@param now number epoch seconds
---@param days integer
---@return integer epoch seconds
function usage_report.first_day(now, days)
  return (math.floor(now) // DAY - days + 1) * DAY
end

local function zeros(n)
  local list = {}
  for i = 1, n do list[i] = 0 end
  return list
end

-- A sum of nothing: `counts` are COUNTS and WINDOWS, `by_day` COUNTS of each day, one
-- after the other, oldest first. There may be many things to add up: lists are fast.
local function empty(days, sum)
  sum.counts, sum.by_day = zeros(#COUNTS + #WINDOWS), zeros(#COUNTS * days)
  return sum
end

local function add(to, from)
  for i = 1, #from do to[i] = to[i] + from[i] end
end

-- Adds the days of an entry as they come from the store: { day, requests, … } flat.
local function add_found(by_day, found, first)
  local n, most = #COUNTS, #by_day
  for i = 1, #found, n + 1 do
    local at = (found[i] - first) // DAY * n
    if at >= 0 and at < most then
      for c = 1, n do by_day[at + c] = by_day[at + c] + found[i + c] end
    end
  end
end

local function add_up(sum, list)
  for _, part in ipairs(list) do
    add(sum.counts, part.counts)
    add(sum.by_day, part.by_day)
  end
end

-- Four counts out of a list by their names.
local function named(names, list, from)
  local out = {}
  for i, name in ipairs(names) do out[name] = list[from + i] end
  return out
end

--- What something has used in all.
---@param thing table the report itself, or something in it
---@return table { requests, input_tokens, output_tokens, total_tokens }
function usage_report.in_all(thing)
  return named(COUNTS, thing.counts, 0)
end

--- What limits count of it now.
---@return table { rpm, rph, rpd, tpm, tph, tpd }
function usage_report.windows(thing)
  return named(WINDOWS, thing.counts, #COUNTS)
end

-- Those of pairs are made when they are asked for.
local function by_day_of(report, thing)
  if not thing.by_day then
    thing.by_day = zeros(#COUNTS * #report.days)
    add_found(thing.by_day, thing.days, report.days[1])
  end
  return thing.by_day
end

--- What it has used on day number `i` of the report, as `in_all`.
---@param i? integer 1 is the oldest; nil: today
function usage_report.day(report, thing, i)
  return named(COUNTS, by_day_of(report, thing), ((i or #report.days) - 1) * #COUNTS)
end

--- What it has used on all days of the report, as `in_all`.
function usage_report.all_days(report, thing)
  local by_day, sums = by_day_of(report, thing), zeros(#COUNTS)
  for i = 1, #by_day do
    local c = (i - 1) % #COUNTS + 1
    sums[c] = sums[c] + by_day[i]
  end
  return named(COUNTS, sums, 0)
end

local function before(a, b)
  local x, y = a.counts, b.counts
  if x[TOKENS] ~= y[TOKENS] then return x[TOKENS] > y[TOKENS] end
  if x[REQUESTS] ~= y[REQUESTS] then return x[REQUESTS] > y[REQUESTS] end
  if a.key ~= b.key then return a.key < b.key end
  return (a.model or "") < (b.model or "")
end

--- The `most` of a list that have used most, the busiest first; nil: all of them.
---@param list table[]
---@param most? integer
---@return table[] a new list
function usage_report.busiest(list, most)
  if not most or #list <= most then
    local all = table.move(list, 1, #list, 1, {})
    table.sort(all, before)
    return all
  end
  local best = {}
  for _, item in ipairs(list) do
    if #best < most or before(item, best[most]) then
      local at = math.min(#best, most - 1) + 1
      while at > 1 and before(item, best[at - 1]) do
        best[at] = best[at - 1]
        at = at - 1
      end
      best[at] = item
    end
  end
  return best
end

--- Those of a list that limits count something of now.
---@param list table[]
---@return table[] a new list
function usage_report.recent(list)
  local recent = {}
  for _, thing in ipairs(list) do
    if thing.counts[REQUESTS_OF_DAY] > 0 or thing.counts[TOKENS_OF_DAY] > 0 then
      recent[#recent + 1] = thing
    end
  end
  return recent
end

-- "requests_per_minute=60 tokens_per_day=9" as a table; nil for nothing.
local function learned_of(text)
  local limits
  for name, value in text:gmatch "([%w_]+)=(%d+)" do
    limits = limits or {}
    limits[name] = math.tointeger(tonumber(value))
  end
  return limits
end

-- Tells what a thing's state is at `now`: whose time is over has yet to prove itself.
local function set_state(thing, found, now)
  local state, until_at = found.disabled and "disabled" or found.state, found.until_at
  if until_at and until_at <= now and state ~= "ready" and state ~= "disabled" then
    state = "probing"
  end
  local out = state ~= "ready" and state ~= "probing"
  thing.state, thing.until_at = state, out and until_at or nil
  thing.reason = out and found.reason ~= "" and found.reason or nil
  thing.learned = learned_of(found.learned)
end

local badness = { ready = 0, probing = 1, cooling = 2 }

-- What is in a ready key's way for one of its models shows as its own state.
local function worsen(key, pair)
  if key.state ~= "ready" and not key.of_model then return end
  if (badness[pair.state] or 3) <= (badness[key.state] or 3) then return end
  key.state, key.until_at, key.reason = pair.state, pair.until_at, pair.reason
  key.of_model = pair.model
end

local function provider_of(report, name)
  local provider = report.by_name[name]
  if not provider then
    provider = empty(#report.days, { name = name, keys = {}, models = {}, pairs = {}, groups = {},
      by_key = {}, by_model = {} })
    report.by_name[name] = provider
    report.providers[#report.providers + 1] = provider
  end
  return provider
end

local function key_of(report, provider, found)
  local key = provider.by_key[found.key]
  if not key then
    key = empty(#report.days, { key = found.key, label = "", suffix = "", state = "ready" })
    provider.by_key[found.key], provider.keys[#provider.keys + 1] = key, key
  end
  if found.label ~= "" then key.label = found.label end
  if found.suffix ~= "" then key.suffix = found.suffix end
  return key
end

local function model_of(report, provider, name)
  local model = provider.by_model[name]
  if not model then
    model = empty(#report.days, { model = name })
    provider.by_model[name], provider.models[#provider.models + 1] = model, model
  end
  return model
end

-- An entry of the store becomes a pair itself: there may be many.
local function add_entry(report, entry)
  local provider, first = provider_of(report, entry.provider), report.days[1]
  local key, model = key_of(report, provider, entry), model_of(report, provider, entry.model)
  add(key.counts, entry.counts)
  add(model.counts, entry.counts)
  add_found(key.by_day, entry.days, first)
  add_found(model.by_day, entry.days, first)
  entry.of_key = key
  provider.pairs[#provider.pairs + 1] = entry
end

local function find_pair(provider, key, model)
  local index = provider.by_pair
  if not index then
    index = {}
    for _, pair in ipairs(provider.pairs) do index[pair.key .. "\n" .. pair.model] = pair end
    provider.by_pair = index
  end
  return index[key .. "\n" .. model]
end

-- States of whole keys come before those of their models, both after all entries.
local function add_state(report, found)
  local provider, group = provider_of(report, found.provider), found.key:match "^group:(.*)$"
  if group then
    local it = { name = group, model = found.model ~= "" and found.model or nil }
    set_state(it, found, report.at)
    if it.state ~= "ready" then provider.groups[#provider.groups + 1] = it end
    return
  end
  local key = key_of(report, provider, found)
  if found.model == "" then return set_state(key, found, report.at) end
  local pair = find_pair(provider, found.key, found.model) or { model = found.model }
  set_state(pair, found, report.at)
  worsen(key, pair)
end

-- Whether something is of one of the providers.
local function chosen(providers)
  local set = {}
  for _, name in ipairs(providers or {}) do set[name] = true end
  local all = next(set) == nil
  return function(it) return all or set[it.provider] end
end

--- Sums up what keycycle.core's store_reader found. Takes its entries: they become the
--- pairs of keys and models.
---@param found table { entries, states }
---@param opts table now (epoch seconds), days (how many, today among them), only (list of
--- providers; empty or nil: all)
---@return table report at; days (midnights in epoch seconds, oldest first); providers: list
--- of { name, keys, models, pairs, groups }. in_all, windows, day and all_days tell what
--- it, or any provider, key, model or pair, has used. Keys, groups, and pairs that have
--- one, tell their state, until_at, reason, learned (limits by name); keys of_model, too:
--- whose state it is. A pair has its key as of_key
function usage_report.sum_up(found, opts)
  local days = opts.days
  local report = empty(days, { at = opts.now, days = {}, providers = {}, by_name = {} })
  local first = usage_report.first_day(opts.now, days)
  for i = 1, days do report.days[i] = first + (i - 1) * DAY end
  local wanted = chosen(opts.only)
  for _, entry in ipairs(found.entries) do
    if wanted(entry) then add_entry(report, entry) end
  end
  for _, of_keys in ipairs { true, false } do
    for _, state in ipairs(found.states) do
      if wanted(state) and (state.model == "") == of_keys then add_state(report, state) end
    end
  end
  for _, provider in ipairs(report.providers) do add_up(provider, provider.keys) end
  add_up(report, report.providers)
  table.sort(report.providers, function(a, b) return a.name < b.name end)
  return report
end

-- What has come in a second; what is held of requests that did not come is none.
local function rates_of(now, was, seconds)
  local rates = {}
  for i, name in ipairs(COUNTS) do
    rates[name] = math.max(0, now.counts[i] - (was and was.counts[i] or 0)) / seconds
  end
  return rates
end

--- Tells how much has come between two reports, a second, as `rates` of the newer one
--- and of each of its providers; `since_last` is how many they lie apart.
---@param report table the newer one, of sum_up
---@param last table
function usage_report.set_rates(report, last)
  local seconds = report.at - last.at
  if seconds <= 0 then return end
  report.rates, report.since_last = rates_of(report, last, seconds), seconds
  for _, provider in ipairs(report.providers) do
    provider.rates = rates_of(provider, last.by_name[provider.name], seconds)
  end
end

--- A store's URL for people: without user, password and options.
---@param url string
function usage_report.store_name(url)
  local scheme, rest = url:match "^(%a[%w+.-]*)://(.*)$"
  if not scheme or scheme:lower() == "sqlite" then return url end
  return scheme .. "://" .. rest:gsub("^.*@", ""):gsub("[?#].*$", "")
end

return usage_report
