--- The statistics of one provider as tables for people: of all keys, of one, of a
--- model, of one key and model. Keys are shown by their ends alone.
local errors = require "keycycle.errors"
local report = require "keycycle.report"

local stat_tables = {}

local BAR = 10
local BAR_WIDE = 20
local counts = { "requests m / h / d", "tokens m / h / d", "requests", "tokens", "in flight",
  "fullest window" }

-- 1234567 as 1,234,567
local function count(n)
  return (("%d"):format(n):reverse():gsub("%d%d%d", "%0,"):reverse():gsub("^,", ""))
end

local function share(used, limit)
  return limit > 0 and used / limit or 1
end

local function percent(part)
  return ("%.0f%%"):format(part * 100)
end

-- The window with the least room: how full it is, and its name; nil: none is limited.
local function fullest(snapshot, limits)
  local most, name
  for _, w in ipairs(report.windows) do
    local limit = limits[w[2]]
    local part = limit and share(snapshot[w[1]], limit)
    if part and (not most or part > most) then most, name = part, w[3] end
  end
  return most, name
end

local function fill(most, name, style)
  if not most then return "no limit" end
  return ("%s %s %s"):format(report.bar(most, BAR, style), percent(most), name)
end

-- The cells under `counts`, after those that are given.
local function line(cells, s, full, code)
  for _, text in ipairs {
    ("%s / %s / %s"):format(count(s.rpm), count(s.rph), count(s.rpd)),
    ("%s / %s / %s"):format(count(s.tpm), count(s.tph), count(s.tpd)),
    count(s.total_requests), count(s.total_tokens), count(s.in_flight), full,
  } do
    cells[#cells + 1] = text
  end
  cells.code = code
  return cells
end

local function head(before, after)
  local all = {}
  for _, list in ipairs { before, counts, after or {} } do
    for _, text in ipairs(list) do all[#all + 1] = text end
  end
  return all
end

-- What holds for a key and a model; limit functions are asked at its first use.
local function limits_of(entry, index, model)
  entry:prepare(model)
  return entry.pool:limits(index, model) or {}
end

-- Where the limits are all models' together so is what counts against them.
local function counted(entry, index, snapshot)
  return entry.scope == "global" and entry.pool:snapshot(index) or snapshot
end

-- Of all models of a key the fullest window.
local function fullest_of_key(entry, index, breakdown)
  local most, text
  for model, snapshot in pairs(breakdown) do
    local part, name = fullest(counted(entry, index, snapshot), limits_of(entry, index, model))
    if part and (not most or part > most) then
      most, text = part, entry.scope == "global" and name or ("%s of %s"):format(name, model)
    end
  end
  return most, text
end

-- The lines' last cell: the state of a key, which is the colour of its line.
local function with_state(entry, cells, key)
  cells[#cells + 1], cells.code = report.state(key, entry.pool:now())
  return cells
end

-- Where and how it is written: a title and what follows.
local function begin(out, fmt, ...)
  if out ~= nil and io.type(out) ~= "file" and not (type(out) == "table" and out.write) then
    errors.invalid "what is printed goes to an open file, or a table with a method write"
  end
  local style = report.style(out)
  out = out or io.stdout
  out:write(report.paint(style, "1", fmt:format(...)), "\n")
  return { out = out, style = style }
end

local function say(to, fmt, ...)
  to.out:write(fmt:format(...), "\n")
end

local function say_total(to, name, total)
  say(to, "%s: %s requests, %s tokens, %s in flight", name, count(total.total_requests),
    count(total.total_tokens), count(total.in_flight))
end

-- A key by its id; nil and the reason in words where there is none. The id may be a
-- whole key: the words do not repeat it.
local function find_key(entry, id)
  local ok, found = pcall(entry.find_key, entry, id)
  if ok then return entry.pool:key(found) end
  if not errors.is(found, errors.KeyNotFoundError) then error(found, 0) end
  return nil, found.message
end

local function title_of(entry, key)
  return ("%s, key %d (%s), %s"):format(entry.name, key.index, report.suffix(key),
    (report.state(key, entry.pool:now())))
end

--- Every key with what it has used, how full its windows are, its state; and the sum.
---@param entry table of the provider
---@param out? table a file or what has `write`; nil: standard output
function stat_tables.global(entry, out)
  entry:check_open()
  local to, manager, lines = begin(out, "%s, all keys", entry.name), entry.manager, {}
  for _, key in ipairs(manager:keys()) do
    local stats = manager:get_key_stats(key.index)
    local most, name = fullest_of_key(entry, key.index, stats.breakdown)
    local cells = line({ tostring(key.index), report.suffix(key) }, stats.total,
      most and fill(most, name, to.style) or "-")
    lines[#lines + 1] = with_state(entry, cells, key)
  end
  report.table(head({ "key", "ends" }, { "state" }), lines, to)
  say_total(to, "together", manager:get_global_stats().total)
end

--- What one key has used, by model.
---@param id integer|string its index, its end or the whole key
function stat_tables.key(entry, id, out)
  entry:check_open()
  local key, why = find_key(entry, id)
  if not key then
    begin(out, "%s: %s", entry.name, why)
    return
  end
  local stats = entry.manager:get_key_stats(key.index)
  local to, models, lines = begin(out, "%s", title_of(entry, key)), {}, {}
  for model in pairs(stats.breakdown) do models[#models + 1] = model end
  table.sort(models)
  for _, model in ipairs(models) do
    local s = stats.breakdown[model]
    local most, name = fullest(counted(entry, key.index, s), limits_of(entry, key.index, model))
    lines[#lines + 1] = line({ model }, s, fill(most, name, to.style))
  end
  if #lines > 0 then
    report.table(head { "model" }, lines, to)
  else
    say(to, "nothing has been used of it yet")
  end
  say_total(to, "together", stats.total)
end

--- What one model has used, by the keys that have served it.
---@param model string
function stat_tables.model(entry, model, out)
  entry:check_open()
  local stats, lines = entry.manager:get_model_stats(model), {}
  local to = begin(out, "%s, model %s", entry.name, model)
  for _, known in ipairs(stats.keys) do
    local s = known.snapshot
    if s.total_requests > 0 or s.in_flight > 0 then
      local most, name = fullest(counted(entry, known.index, s),
        limits_of(entry, known.index, model))
      local cells = line({ tostring(known.index), report.suffix(known) }, s,
        fill(most, name, to.style))
      lines[#lines + 1] = with_state(entry, cells, entry.pool:key(known.index, model))
    end
  end
  if #lines > 0 then
    report.table(head({ "key", "ends" }, { "state" }), lines, to)
  else
    say(to, "no key has served it yet")
  end
  say_total(to, "together", stats.total)
end

--- What one key has used of one model: each window beside its limit.
function stat_tables.granular(entry, id, model, out)
  entry:check_open()
  local key, why = find_key(entry, id)
  if not key then
    begin(out, "%s: %s", entry.name, why)
    return
  end
  local s = entry.manager:get_granular_stats(key.index, model).snapshot
  local limits, used = limits_of(entry, key.index, model), counted(entry, key.index, s)
  local to, lines = begin(out, "%s, model %s", title_of(entry, key), model), {}
  for _, w in ipairs(report.windows) do
    local limit = limits[w[2]]
    local part = limit and share(used[w[1]], limit)
    lines[#lines + 1] = { w[3], count(s[w[1]]), limit and count(limit) or "-",
      part and ("%s %s"):format(report.bar(part, BAR_WIDE, to.style), percent(part)) or "no limit" }
  end
  report.table({ "window", "used", "limit", "" }, lines, to)
  say_total(to, "in all", s)
end

return stat_tables
