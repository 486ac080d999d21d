--- A report of what a store knows, as tables for people.
local fitted_table = require "keycycle.report.fitted_table"
local report = require "keycycle.report"
local usage_report = require "keycycle.report.usage"

local usage_tables = {}

local shown = fitted_table.shown

local BAR = 8
local NAME, STATE = 12, 24 -- characters that are kept of them where there is little room
local DAY = 86400
local units = { { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } }

--- A count in at most five characters: 999, 1,234, 12.3k, 123k, 1.23M.
---@param n number not negative
function usage_tables.count(n)
  if n < 9999.5 then return (("%.0f"):format(n):gsub("^(%d)(%d%d%d)$", "%1,%2")) end
  for _, unit in ipairs(units) do
    local value = n / unit[1]
    if value >= 0.9995 then
      local decimals = value < 9.995 and 2 or value < 99.95 and 1 or 0
      return ("%." .. decimals .. "f%s"):format(value, unit[2])
    end
  end
end

local count = usage_tables.count

local function say(to, code, fmt, ...)
  to.out:write(report.paint(to.style, code, shown(fmt:format(...), to.width)), "\n")
end

local function plural(n, word)
  return ("%s %s%s"):format(count(n), word, n == 1 and "" or "s")
end

local function bar(part, to)
  return report.bar(part, BAR, to.style)
end

local function filled(part, to)
  return ("%s %3.0f%%"):format(bar(part, to), part * 100)
end

local function key_name(key)
  return key.label ~= "" and shown(key.label) or "key"
end

local function key_end(key)
  return shown(report.suffix(key))
end

-- Calls without a model, such as those of `keycycle check`, are counted under "".
local function model_name(model)
  return model ~= "" and shown(model) or "-"
end

-- A state and until when, its reason, the model whose state it is.
local function state_of(thing, at)
  local text = thing.state
  local _, code = report.state({ state = text }, at)
  if thing.until_at then
    local format = thing.until_at - at < DAY and "!%H:%M:%S" or "!%m-%d %H:%M"
    text = text .. " until " .. os.date(format, math.ceil(thing.until_at))
  end
  if thing.of_model then text = text .. ", " .. shown(thing.of_model) end
  if thing.reason then text = text .. ", " .. shown(thing.reason) end
  return text, code
end

-- Requests and tokens today, over the days, in all.
local function add_counts(columns, days)
  for _, what in ipairs { "requests", "tokens" } do
    table.insert(columns, { what, "today", right = true, drop = 1 })
    if days > 1 then table.insert(columns, { "", days .. " days", right = true, drop = 3 }) end
    table.insert(columns, { "", "in all", right = true })
  end
end

local function count_cells(cells, all, thing)
  local today, over = usage_report.day(thing), usage_report.all_days(thing)
  local in_all = usage_report.in_all(thing)
  for _, field in ipairs { "requests", "total_tokens" } do
    cells[#cells + 1] = count(today[field])
    if #all.starts > 1 then cells[#cells + 1] = count(over[field]) end
    cells[#cells + 1] = count(in_all[field])
  end
end

-- A part of the provider's tokens; of its requests, where no tokens were told.
local function share_of(provider, thing, to)
  local whole, part = usage_report.in_all(provider), usage_report.in_all(thing)
  local field = whole.total_tokens > 0 and "total_tokens" or "requests"
  return filled(part[field] / math.max(1, whole[field]), to)
end

-- A table of the first of the provider's keys, models or pairs; `describe` gives the cells
-- that name one.
local function write_first(to, all, provider, what, columns, describe)
  local list, lines, has_state = provider[what], {}, what ~= "models"
  for i = 1, math.min(#list, to.most or #list) do
    local cells = describe(list[i])
    count_cells(cells, all, list[i])
    cells[#cells + 1] = share_of(provider, list[i], to)
    if has_state then cells[#cells + 1], cells.code = state_of(list[i], all.at) end
    lines[i] = cells
  end
  if #lines == 0 then return end
  add_counts(columns, #all.starts)
  columns[#columns + 1] = { "", "share", drop = 4 }
  if has_state then columns[#columns + 1] = { "", "state", name = STATE, drop = 2 } end
  to.out:write "\n"
  local left = (what == "pairs" and provider.pair_count or #list) - #lines
  fitted_table.write(columns, lines, to)
  if left > 0 then say(to, nil, "… and %s more (--all shows them)", count(left)) end
end

-- The learned limits of a pair, those of its key where it has none.
local function limits_of(pair)
  return pair.learned or pair.of_key.learned or {}
end

-- What counts now against limits, and how full the fullest window is.
local function window_cells(pair, windows, to)
  local cells, limits = { key_end(pair.of_key), model_name(pair.model) }, limits_of(pair)
  local most, name
  for _, w in ipairs(report.windows) do
    local used, limit = windows[w[1]], limits[w[2]]
    local part = limit and (limit > 0 and used / limit or 1)
    cells[#cells + 1] = count(used) .. (limit and " of " .. count(limit) or "")
    if part and (not most or part > most) then most, name = part, w[3] end
  end
  cells[#cells + 1] = most and ("%s %s"):format(filled(most, to), name) or "-"
  return cells, most ~= nil
end

local function write_windows(to, provider)
  local lines, any = {}, false
  for i = 1, math.min(#provider.pairs, to.most or #provider.pairs) do
    local windows = usage_report.windows(provider.pairs[i])
    if windows.rpd > 0 or windows.tpd > 0 then
      local limited
      lines[#lines + 1], limited = window_cells(provider.pairs[i], windows, to)
      any = any or limited
    end
  end
  if #lines == 0 then return end
  local columns = { { "", "ends" }, { "", "model", name = NAME } }
  for _, what in ipairs { "requests", "tokens" } do
    table.insert(columns, { what, "last min", right = true })
    table.insert(columns, { "", "hour", right = true, drop = 2 })
    table.insert(columns, { "", "day", right = true, drop = 1 })
  end
  columns[#columns + 1] = { "", "fullest", drop = 3 }
  to.out:write "\n"
  if not any then
    columns[#columns] = nil
    for _, line in ipairs(lines) do line[#line] = nil end
  end
  fitted_table.write(columns, lines, to)
end

local function write_groups(to, all, provider)
  for _, group in ipairs(provider.groups) do
    local text, code = state_of(group, all.at)
    say(to, code, "group %s%s: %s", shown(group.group),
      group.model and " for " .. shown(group.model) or "", text)
  end
end

local function say_rates(to, rates)
  if not rates then return end
  say(to, nil, "since the last look %.1f requests/s, %s tokens/s", rates.requests,
    count(rates.total_tokens))
end

local function write_provider(to, all, provider)
  local today, in_all = usage_report.day(provider), usage_report.in_all(provider)
  to.out:write "\n"
  say(to, "1", "%s: %s, %s; %s and %s tokens today, %s and %s in all", provider.provider,
    plural(#provider.keys, "key"), plural(#provider.models, "model"),
    plural(today.requests, "request"), count(today.total_tokens), count(in_all.requests),
    count(in_all.total_tokens))
  say_rates(to, provider.rates)
  write_groups(to, all, provider)
  write_first(to, all, provider, "keys", { { "", "key", name = NAME }, { "", "ends" } },
    function(key) return { key_name(key), key_end(key) } end)
  write_first(to, all, provider, "models", { { "", "model", name = NAME } },
    function(model) return { model_name(model.model) } end)
  write_first(to, all, provider, "pairs", { { "", "ends" }, { "", "model", name = NAME } },
    function(pair) return { key_end(pair.of_key), model_name(pair.model) } end)
  write_windows(to, provider)
end

local function day_line(name, day, most, to)
  local function part(field) return most and bar(day[field] / most[field], to) or "" end
  return { name, count(day.requests), part "requests", count(day.total_tokens),
    part "total_tokens", count(day.input_tokens), count(day.output_tokens) }
end

-- All of it by day, from the first one on that has any use.
local function write_days(to, all)
  local days, lines = {}, {}
  local most = { requests = 1, total_tokens = 1 }
  for i in ipairs(all.starts) do
    days[i] = usage_report.day(all, i)
    for field, count_of in pairs(most) do most[field] = math.max(count_of, days[i][field]) end
  end
  for i, start in ipairs(all.starts) do
    if #lines > 0 or days[i].requests > 0 or days[i].total_tokens > 0 or i == #all.starts then
      local name = i == #all.starts and "today" or os.date("!%Y-%m-%d", start)
      lines[#lines + 1] = day_line(name, days[i], most, to)
    end
  end
  if #all.starts > 1 then
    lines[#lines + 1] = day_line(#all.starts .. " days", usage_report.all_days(all), nil, to)
  end
  lines[#lines + 1] = day_line("in all", usage_report.in_all(all), nil, to)
  fitted_table.write({ { "", "day" }, { "", "requests", right = true }, { "", "", drop = 2 },
    { "", "tokens", right = true }, { "", "", drop = 2 }, { "", "input", right = true, drop = 1 },
    { "", "output", right = true, drop = 1 } }, lines, to)
end

--- Writes a report.
---@param all table of usage_report.make
---@param to table store (its name), out (whatever has `write`), style (of report.style),
--- width (nil: as wide as it gets), most (lines of a table; nil: all)
function usage_tables.write(all, to)
  say(to, "1", "%s, %s UTC; days are UTC days", shown(to.store),
    os.date("!%Y-%m-%d %H:%M:%S", math.floor(all.at)))
  say_rates(to, all.rates)
  to.out:write "\n"
  write_days(to, all)
  for _, provider in ipairs(all.providers) do write_provider(to, all, provider) end
end

return usage_tables
