--- Tables for people: what each key has used, how full its windows are, its state.
---
--- Bars and colour on a terminal only, plain text elsewhere; NO_COLOR is heeded.
--- Shows the ends of keys, never a key.
local core = require "keycycle.core"

local report = {}

local BAR = 10
local STDOUT, STDERR = 1, 2
local colours = { ready = "32", probing = "33", cooling = "33", exhausted = "31",
  suspended = "31", invalid = "31", disabled = "2", draining = "2" }

--- Whether `out` (nil: standard output) is a terminal, and wants colour.
---@param out? table a file, or whatever has `write`
function report.style(out)
  local fd = (out == nil or out == io.stdout) and STDOUT or out == io.stderr and STDERR
  local terminal = fd and core.isatty(fd) and os.getenv "TERM" ~= "dumb"
  local no_color = os.getenv "NO_COLOR"
  return { terminal = terminal, colour = terminal and (no_color == nil or no_color == "") }
end

--- A text in a colour (a code of ANSI's, "1" is bold), where there is colour.
function report.paint(style, code, text)
  if not style.colour or not code then return text end
  return "\27[" .. code .. "m" .. text .. "\27[0m"
end

--- A bar of `width` cells for a share from 0 to 1.
function report.bar(share, width, style)
  local full = math.floor(math.max(0, math.min(1, share)) * width + 0.5)
  if style and style.terminal then
    return ("█"):rep(full) .. ("░"):rep(width - full)
  end
  return ("#"):rep(full) .. ("."):rep(width - full)
end

-- A count and its limit, with a bar where there is a limit.
local function cell(used, limit, style)
  if not limit then return ("%d"):format(used) end
  local share = limit > 0 and used / limit or 1
  return ("%d/%d %s"):format(used, limit, report.bar(share, BAR, style))
end

-- Columns of a line are texts; width counts characters, not bytes.
local function pad(text, width)
  return text .. (" "):rep(width - (utf8.len(text) or #text))
end

local function write_table(out, head, lines, style)
  local widths = {}
  for _, line in ipairs { head, table.unpack(lines) } do
    for i, text in ipairs(line) do
      widths[i] = math.max(widths[i] or 0, utf8.len(text) or #text)
    end
  end
  local function row(line, code)
    local cells = {}
    for i, text in ipairs(line) do cells[i] = pad(text, widths[i]) end
    local text = table.concat(cells, "  "):gsub("%s+$", "")
    out:write(report.paint(style, code, text), "\n")
  end
  row(head, "1")
  for _, line in ipairs(lines) do row(line, line.code) end
end

--- Writes a table: texts in columns, `code` of a line is its colour on a terminal.
---@param head string[]
---@param lines table list of lists of texts
---@param opts? table out (a file), style
function report.table(head, lines, opts)
  opts = opts or {}
  write_table(opts.out or io.stdout, head, lines, opts.style or report.style(opts.out))
end

--- The windows of a snapshot: its field, the limit's name, a short one for people.
report.windows = { { "rpm", "requests_per_minute", "req/min" },
  { "rph", "requests_per_hour", "req/hour" }, { "rpd", "requests_per_day", "req/day" },
  { "tpm", "tokens_per_minute", "tok/min" }, { "tph", "tokens_per_hour", "tok/hour" },
  { "tpd", "tokens_per_day", "tok/day" } }

--- The state of a key for people, and its colour.
---@param key table of manager:keys()
---@param now? number epoch seconds by the pool's clock
---@return string text, string? code
function report.state(key, now)
  local text = key.state
  if key.until_at then
    text = text .. (" %.0fs"):format(math.max(0, key.until_at - (now or core.now())))
  end
  return text, colours[key.state]
end

--- The end of a key, or "-" of one that is too short to show any of it.
function report.suffix(key)
  return key.suffix ~= "" and key.suffix or "-"
end

local function key_line(key, snapshot, limits, style)
  local line = { tostring(key.index), report.suffix(key) }
  for _, w in ipairs(report.windows) do
    line[#line + 1] = cell(snapshot[w[1]], limits and limits[w[2]], style)
  end
  line[#line + 1], line.code = report.state(key)
  return line
end

--- Writes the table of a manager: per key requests and tokens by minute, hour and
--- day against the limits of `model`, and the state.
---@param manager table
---@param opts? table model (whose limits are shown), out (a file), style
function report.print(manager, opts)
  opts = opts or {}
  local out, style = opts.out or io.stdout, opts.style or report.style(opts.out)
  local lines, by_index = {}, {}
  for _, key in ipairs(manager:keys()) do by_index[key.index] = key end
  for _, known in ipairs(manager:explain(opts.model)) do
    local stats = manager:get_key_stats(known.index)
    lines[#lines + 1] = key_line(by_index[known.index], stats.total, known.limits, style)
  end
  local head = { "key", "ends" }
  for _, w in ipairs(report.windows) do head[#head + 1] = w[3] end
  head[#head + 1] = "state"
  write_table(out, head, lines, style)
  local total = manager:get_global_stats().total
  out:write(("%s: %d requests, %d tokens, %d in flight\n")
    :format(manager.provider, total.total_requests, total.total_tokens, total.in_flight))
end

--- A progress line that redraws itself on a terminal; elsewhere it is silent until
--- `finish`.
---@param total integer
function report.progress(total, opts)
  opts = opts or {}
  local out, style = opts.out or io.stdout, opts.style or report.style(opts.out)
  local self, shown = {}, false
  --- Takes the bar away, for a line of text to be written.
  function self.clear()
    if shown then out:write("\r\27[K") end
    shown = false
  end
  function self.show(done)
    if not style.terminal then return end
    out:write(("\r%s %d of %d"):format(report.bar(done / total, 30, style), done, total))
    out:flush()
    shown = true
  end
  function self.finish(done)
    self.clear()
    out:write(("%s %d of %d\n"):format(report.bar(done / total, 30, style), done, total))
  end
  return self
end

return report
