--- How the mock's answers leave: in pieces, slowly, or broken off.
local delivery = {}

local BACKLOG = 256 * 1024 -- bytes that may wait for a slow reader

--- Sends `pieces` (texts) one after the other, `delay` seconds apart, waiting for a
--- slow reader.
function delivery.stream(server, request, headers, pieces, delay)
  headers["cache-control"] = "no-cache"
  request:start(200, headers)
  local i = 0
  local function more()
    if not request:is_open() then return end
    repeat
      i = i + 1
      request:chunk(pieces[i])
    until i == #pieces or delay > 0 or request:backlog() > BACKLOG
    if i == #pieces then
      request:finish()
    else
      server:after(math.max(delay, 0.001), more)
    end
  end
  more()
end

--- The same, but the connection ends before the body does: more was promised.
function delivery.cut(server, request, headers, pieces, delay)
  local size = 1
  for _, piece in ipairs(pieces) do size = size + #piece end
  headers["content-length"], headers["connection"] = ("%d"):format(size), "close"
  delivery.stream(server, request, headers, pieces, delay)
end

return delivery
