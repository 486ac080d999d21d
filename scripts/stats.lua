--- keycycle stats: what a store knows of the use of keys; none of them is needed.
local keycycle = require "keycycle"
local command = require "keycycle.command"
local config = require "keycycle.config"
local core = require "keycycle.core"
local host = require "keycycle.host"
local json = require "keycycle.json"
local printer = require "keycycle.agent.printer"
local report = require "keycycle.report"
local screen = require "keycycle.report.screen"
local usage_document = require "keycycle.report.usage_document"
local usage_report = require "keycycle.report.usage"
local usage_tables = require "keycycle.report.usage_tables"

local usage = [[
usage: keycycle stats [options] [PROVIDER...]
  PROVIDER     whose use is shown (none: that of all)
  --db URL     the store, as sqlite:FILE (default: what TIDB_DB_URL says, in the
               environment or in .env)
  --days N     how many days are told one by one, today among them (default 7); UTC
  --all        every key and model (else the 10 of each that have used most)
  --watch      again each second, with rates, until Ctrl-C
  --every N    with --watch: seconds between two looks
  --json       one document (with --watch one a line): { store, at, total, providers = [ {
               provider, keys, models, pairs, groups } ] }. total and each of a provider,
               of its keys, models and pairs (key and model) have requests, input_tokens,
               output_tokens, total_tokens (in all), days [ { start, the four } ] (the last
               is today) and windows { rpm … tpd } (now, as limits count); a provider's
               counts stand beside its name. Keys and pairs have state, until_at, reason,
               learned (limits that answers told). Times are seconds since 1970.
It ends with 1 where there is no such store, or nothing in it.]]

local MOST, WIDEST = 10, 100

local options, words = command.read(arg, usage, { db = true, days = "count", all = "flag",
  watch = "flag", every = true, json = "flag" })
if not options then return words end
local every = tonumber(options.every or 1)
if options.every and not (options.watch and every and every > 0 and every <= 86400) then
  return select(2, command.refuse(usage, "--every takes seconds, up to 86400, and --watch"))
end
local url = options.db or config.environment() "TIDB_DB_URL"
if not url or url == "" then
  return select(2, command.refuse(usage, "which store? --db sqlite:FILE says, or TIDB_DB_URL"))
end

local function fail(fmt, ...)
  io.stderr:write("keycycle stats: ", printer.harmless(fmt:format(...)), "\n")
  return 1
end

local reader <close>, err = core.store_reader(url)
if not reader then
  if err.code == "bad_url" or err.code == "no_such_store" then
    return select(2, command.refuse(usage, "%s", err.message))
  end
  return fail(err.code == "not_found" and "there is no store yet: %s" or "%s", err.message)
end

local store = usage_report.store_name(url)
local most = not (options.all or options.json) and MOST or nil

--- What the store knows now of the providers that were asked for; nil and why not.
local function look()
  local now, days = core.now(), options.days or 7
  local found, why = reader:report(now, usage_report.first_day(now, days), days, most)
  if not found then return nil, why end
  return usage_report.make(found, { now = now, days = days, only = words })
end

local function show(all, out, style)
  if options.json then
    out:write(json.encode(usage_document.of(all, store)), "\n")
    return
  end
  usage_tables.write(all, { store = store, out = out, style = style,
    width = style.terminal and math.min(style.width or WIDEST, WIDEST) or nil, most = most })
end

--- Shows it again and again; what the store fails with is told, and it goes on.
local function watch()
  local out, last = screen.new(io.stdout, options.json and "" or "\n"), nil
  while true do
    local style, all, why = report.style(), look()
    if all then
      if last then usage_report.set_rates(all, last) end
      last = all
      show(all, out, style)
      out:show(style.terminal and not options.json, select(2, core.terminal_size(1)))
    else
      fail("%s", why.message)
    end
    keycycle.sleep(every)
  end
end

if options.watch then
  local _, why = pcall(watch)
  if host.interrupted() == "SIGINT" then return 0 end
  error(why, 0)
end
local all, why = look()
if not all then return fail("%s", why.message) end
if #all.providers == 0 then
  return fail("nothing is known%s in %s", #words > 0 and " of " .. table.concat(words, ", ")
    or " yet", store)
end
show(all, io.stdout, report.style())
