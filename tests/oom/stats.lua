--- What a store knows is read, and told in tables and as a document.
local keycycle = require "keycycle"
local core = require "keycycle.core"
local usage_document = require "keycycle.report.usage_document"
local usage_report = require "keycycle.report.usage"
local usage_tables = require "keycycle.report.usage_tables"

local file = os.tmpname()
local url = "sqlite:" .. file

do -- while memory is there
  local wrapper <close> = keycycle.MultiClientWrapper.new { db_url = url }
  wrapper:register_provider("local", { base_url = "http://127.0.0.1:9/v1",
    keys = { "sk-oom-first-0001" } })
  local manager = wrapper:get_manager "local"
  manager:get_key "m":commit(10)
  manager:get_key "m":fail { status = 429, headers = { ["retry-after"] = "50" } }
end

local function got(value, err)
  if value == nil then error(err, 0) end
  return value
end

return {
  { "read", function(w)
    local reader <close> = got(core.store_reader(url))
    local now, days = core.now(), 1
    local found = got(reader:report(now, usage_report.first_day(now, days), days, 3))
    w.report = usage_report.make(found, { now = now, days = days })
  end },
  { "write", function(w)
    local parts = {}
    usage_tables.write(w.report, { store = url, style = {}, width = 60, most = 3,
      out = { write = function(_, ...) for _, text in ipairs { ... } do
        parts[#parts + 1] = text
      end end } })
    w.text = table.concat(parts)
    w.document = keycycle.json.encode(usage_document.of(w.report, url))
  end },
  check = function(w)
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(file .. suffix) end
    assert(usage_report.in_all(w.report).total_tokens == 10)
    assert(w.text:find("local: 1 key, 1 model; 2 requests", 1, true), w.text)
    assert(keycycle.json.decode(w.document).total.requests == 2)
  end,
}
