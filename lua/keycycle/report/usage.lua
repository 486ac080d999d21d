--- What a store knows, in the shape in which it is told: of all, by provider, by key, by
--- model, by key and model.
---
--- Pure: it is told what was found, and the time.
local ascii = require "keycycle.ascii"

local usage_report = {}

local DAY = 86400
local COUNTS = { "requests", "input_tokens", "output_tokens", "total_tokens" }
local WINDOWS = { "rpm", "rph", "rpd", "tpm", "tph", "tpd" }

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

--- What it has used on one day, as `in_all`.
---@param i? integer 1 is the oldest day of the report; nil: today
function usage_report.day(thing, i)
  return named(COUNTS, thing.days, i and (i - 1) * #COUNTS or #thing.days - #COUNTS)
end

--- What it has used on all days of the report, as `in_all`.
function usage_report.all_days(thing)
  local sums = zeros(#COUNTS)
  for i, count in ipairs(thing.days) do
    local c = (i - 1) % #COUNTS + 1
    sums[c] = sums[c] + count
  end
  return named(COUNTS, sums, 0)
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

-- What is in a key's way is in that of each of its models.
local function take_key_state(pair)
  local key = pair.of_key
  if pair.state ~= "ready" or key.of_model then return end
  pair.state, pair.until_at, pair.reason = key.state, key.until_at, key.reason
end

-- What is in a ready key's way for one of its models shows as its own state.
local function worsen(key, pair)
  if key.state ~= "ready" and not key.of_model then return end
  if (badness[pair.state] or 3) <= (badness[key.state] or 3) then return end
  key.state, key.until_at, key.reason = pair.state, pair.until_at, pair.reason
  key.of_model = pair.model
end

-- What has used nothing.
local function unused(report, thing)
  thing.counts, thing.days = zeros(#COUNTS + #WINDOWS), zeros(#COUNTS * #report.starts)
  return thing
end

local function add_provider(report, provider, pair_count)
  provider.keys, provider.models, provider.pairs, provider.groups = {}, {}, {}, {}
  provider.by_key, provider.by_pair, provider.pair_count = {}, {}, pair_count or 0
  report.by_name[provider.provider] = provider
  report.providers[#report.providers + 1] = provider
  return provider
end

local function add_key(provider, key)
  key.state = "ready"
  provider.keys[#provider.keys + 1], provider.by_key[key.key] = key, key
  return key
end

local function add_pair(provider, pair)
  pair.state, pair.of_key = "ready", provider.by_key[pair.key]
  provider.pairs[#provider.pairs + 1] = pair
  provider.by_pair[pair.key .. "\n" .. pair.model] = pair
end

-- Totals come from the whole to its parts.
local function add_total(report, found, total)
  local provider = report.by_name[total.provider]
  if total.kind == "all" then
    report.counts, report.days = total.counts, total.days
  elseif total.kind == "provider" then
    add_provider(report, total, found.pair_counts[total.provider])
  elseif total.kind == "key" then
    add_key(provider, total)
  elseif total.kind == "model" then
    provider.models[#provider.models + 1] = total
  else
    add_pair(provider, total)
  end
end

-- States of whole keys come before those of their models. One may be of a key that was
-- never used.
local function add_state(report, found)
  local provider = report.by_name[found.provider]
    or add_provider(report, unused(report, { provider = found.provider }))
  local group = found.key:match "^group:(.*)$"
  if group then
    local it = { group = group, model = found.model ~= "" and found.model or nil }
    set_state(it, found, report.at)
    if it.state ~= "ready" then provider.groups[#provider.groups + 1] = it end
    return
  end
  local key = provider.by_key[found.key] or add_key(provider, unused(report,
    { key = found.key, label = found.label, suffix = found.suffix }))
  if found.model == "" then return set_state(key, found, report.at) end
  local pair = provider.by_pair[found.key .. "\n" .. found.model] or { model = found.model }
  set_state(pair, found, report.at)
  worsen(key, pair)
end

local function sum(parts, field, n)
  local sums = zeros(n)
  for _, part in ipairs(parts) do
    for i, count in ipairs(part[field]) do sums[i] = sums[i] + count end
  end
  return sums
end

-- Leaves those providers that are wanted.
local function choose(report, names)
  local chosen, wanted = {}, {}
  for _, name in ipairs(names) do wanted[name] = true end
  for _, provider in ipairs(report.providers) do
    if wanted[provider.provider] then chosen[#chosen + 1] = provider end
  end
  report.providers = chosen
  report.counts = sum(chosen, "counts", #report.counts)
  report.days = sum(chosen, "days", #report.days)
end

--- Makes a report of what keycycle.core's store_reader found, whose tables become its
--- parts.
---@param found table { totals, pair_counts, states }
---@param opts table now (epoch seconds), days (how many, today among them), only (list of
--- providers; empty or nil: all)
---@return table report at; starts (of its days, epoch seconds, oldest first); providers: list
--- of { provider, keys, models, pairs, pair_count, groups }, the busiest first but for
--- providers. in_all, windows, day and all_days tell what it, or any provider, key, model
--- or pair, has used. Keys, pairs and groups (those that are not ready) have state,
--- until_at, reason, learned (limits by name), keys of_model, too: whose state it is. A
--- pair has its key as of_key; there may be fewer than pair_count
function usage_report.make(found, opts)
  local report = { at = opts.now, starts = {}, providers = {}, by_name = {} }
  local first = usage_report.first_day(opts.now, opts.days)
  for i = 1, opts.days do report.starts[i] = first + (i - 1) * DAY end
  for _, total in ipairs(found.totals) do add_total(report, found, total) end
  for _, of_keys in ipairs { true, false } do
    for _, state in ipairs(found.states) do
      if (state.model == "") == of_keys then add_state(report, state) end
    end
  end
  for _, provider in ipairs(report.providers) do
    for _, pair in ipairs(provider.pairs) do take_key_state(pair) end
  end
  if opts.only and #opts.only > 0 then choose(report, opts.only) end
  table.sort(report.providers, function(a, b) return a.provider < b.provider end)
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
--- and of each of its providers.
---@param report table the newer one, of make
---@param last table
function usage_report.set_rates(report, last)
  local seconds = report.at - last.at
  if seconds <= 0 then return end
  report.rates = rates_of(report, last, seconds)
  for _, provider in ipairs(report.providers) do
    provider.rates = rates_of(provider, last.by_name[provider.provider], seconds)
  end
end

--- A store's URL for people: without user, password and options.
---@param url string
function usage_report.store_name(url)
  local scheme, rest = url:match "^(%a[%w+.-]*)://(.*)$"
  if not scheme or ascii.lower(scheme) == "sqlite" then return url end
  return scheme .. "://" .. rest:gsub("^.*@", ""):gsub("[?#].*$", "")
end

return usage_report
