-- What mod_magnet runs for each request. It keeps the script's Lua state from one to the
-- next and gives each one an environment of its own: what is to stay is in a module.
local provider = require "provider"

local what, words = lighty.r.req_attr["uri.path"]:match "^/(%w+)/?(.*)"
local ok, text = pcall(assert(provider[what], "there is no such page"), words)
if not ok then error(tostring(text), 0) end -- it logs only what is a string
lighty.r.resp_header["content-type"] = "text/plain"
lighty.r.resp_body.set { text }
return 200
