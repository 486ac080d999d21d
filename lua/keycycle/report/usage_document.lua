--- What a store knows as one document for programs: `keycycle stats --json`.
local json = require "keycycle.json"
local usage_report = require "keycycle.report.usage"

local usage_document = {}

-- Names come from outside; JSON is UTF-8.
local function valid(text)
  if text == nil or utf8.len(text) then return text end
  return (text:gsub("[\128-\255]", "\u{FFFD}"))
end

-- The counts of something, added to `fields` of its own.
local function counted(report, thing, fields)
  for name, count in pairs(usage_report.in_all(thing)) do fields[name] = count end
  fields.windows, fields.days = usage_report.windows(thing), {}
  for i, start in ipairs(report.starts) do
    fields.days[i] = usage_report.day(thing, i)
    fields.days[i].start = start
  end
  return fields
end

local function with_state(thing, fields)
  fields.state, fields.until_at = thing.state, thing.until_at
  fields.learned, fields.reason = thing.learned, valid(thing.reason)
  return fields
end

local function list_of(list, fn)
  local out = json.array {}
  for i, thing in ipairs(list) do out[i] = fn(thing) end
  return out
end

local function provider_of(report, provider)
  local groups = json.array {}
  for i, group in ipairs(provider.groups) do
    groups[i] = with_state(group, { group = valid(group.group), model = valid(group.model) })
  end
  return counted(report, provider, {
    provider = valid(provider.provider), groups = groups,
    keys = list_of(provider.keys, function(key)
      return with_state(key, counted(report, key, { key = key.key, label = valid(key.label),
        suffix = valid(key.suffix), of_model = valid(key.of_model) }))
    end),
    models = list_of(provider.models, function(model)
      return counted(report, model, { model = valid(model.model) })
    end),
    pairs = list_of(provider.pairs, function(pair)
      return with_state(pair, counted(report, pair, { key = pair.key, model = valid(pair.model),
        label = valid(pair.of_key.label), suffix = valid(pair.of_key.suffix) }))
    end),
  })
end

--- A report as a table for JSON.
---@param report table of usage_report.make
---@param store string how it is named to people
---@return table { store, at, total = counts, providers = { { provider, counts, groups, keys,
--- models, pairs } } }. Counts are requests, input_tokens, output_tokens, total_tokens,
--- windows = { rpm … tpd }, days = { { start, requests, … }, … }. Groups, keys and pairs
--- have state, until_at, reason, learned
function usage_document.of(report, store)
  local providers = json.array {}
  for i, provider in ipairs(report.providers) do providers[i] = provider_of(report, provider) end
  return { store = valid(store), at = report.at, providers = providers,
    total = counted(report, report, {}) }
end

return usage_document
