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

--- Whether `out` (nil: standard output) is a terminal, how wide, and whether it wants
--- colour.
---@param out? table a file, or whatever has `write`
function report.style(out)
  local fd = (out == nil or out == io.stdout) and STDOUT or out == io.stderr and STDERR
  local terminal = fd and core.isatty(fd) and os.getenv "TERM" ~= "dumb"
  local no_color = os.getenv "NO_COLOR"
  return { terminal = terminal, width = terminal and core.terminal_size(fd) or nil,
    colour = terminal and (no_color == nil or no_color == "") }
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

--- A time for people: "40 s", "12 min", "3 h 5 min", "2 d 4 h".
---@param seconds number
function report.duration(seconds)
  if seconds < 99.5 then return ("%.0f s"):format(seconds) end
  local minutes = math.floor(seconds / 60 + 0.5)
  if minutes < 100 then return minutes .. " min" end
  if minutes < 1440 then return ("%d h %d min"):format(minutes // 60, minutes % 60) end
  return ("%d d %d h"):format(minutes // 1440, minutes % 1440 // 60)
end

-- How many keys are ready; where none has room, when the next one does: `wait` seconds.
local function keys_of(manager, wait)
  local ready, keys = 0, manager:keys()
  if wait > 0 then
    return ("  0 of %d keys ready, one in %s"):format(#keys, report.duration(wait))
  end
  for _, key in ipairs(keys) do
    if key.state == "ready" then ready = ready + 1 end
  end
  return ("  %d of %d keys ready"):format(ready, #keys)
end

-- How fast it goes, and how long it takes from now on where that can be told.
local function speed_of(done, left, seconds, wait)
  if done <= 0 or seconds <= 0 then return "" end
  local rate = done / seconds
  local text = rate < 1 and ("  %.1f/min"):format(rate * 60) or ("  %.1f/s"):format(rate)
  if not left or left <= 0 then return text end
  return ("%s  %s left"):format(text, report.duration(wait + left / rate))
end

local BAR_WIDE = 30

-- The bar takes what the terminal has left for it.
local function with_bar(share, text, style)
  local width = math.min(BAR_WIDE, (style.width or 1000) - #text - 2)
  if not share or width < 1 then return text:sub(1, style.width and style.width - 1) end
  return report.bar(share, width, style) .. " " .. text
end

--- A progress line that redraws itself on a terminal; elsewhere it is silent until
--- `finish`, but for a line every `every` seconds.
---@param total? integer nil: it is not known
---@param opts? table out (a file), style, every; and for a line that tells the rate, the
--- time left and the keys, too: manager, model, done (what was done before), now (a
--- function: seconds)
function report.progress(total, opts)
  opts = opts or {}
  local out, style = opts.out or io.stdout, opts.style or report.style(opts.out)
  local now, before = opts.now or core.mono, opts.done or 0
  local self, shown, began = {}, false, now()
  local told = began
  local function line(done)
    local text = total and ("%d of %d"):format(done, total) or ("%d done"):format(done)
    if opts.manager then
      local left = total and total - done
      local wait = left ~= 0 and opts.manager:next_available(opts.model) or 0
      wait = wait >= 1 and wait or 0
      text = text .. speed_of(done - before, left, now() - began, wait)
      if left ~= 0 then text = text .. keys_of(opts.manager, wait) end
    end
    return with_bar(total and (total > 0 and done / total or 1), text, style)
  end
  --- Takes the bar away, for a line of text to be written.
  function self.clear()
    if shown then out:write("\r\27[K") end
    shown = false
  end
  function self.show(done)
    if style.terminal then
      out:write("\r", line(done), "\27[K")
      out:flush()
      shown = true
    elseif opts.every and now() - told >= opts.every then
      told = now()
      out:write(line(done), "\n")
    end
  end
  function self.finish(done)
    self.clear()
    out:write(line(done), "\n")
  end
  return self
end

return report
