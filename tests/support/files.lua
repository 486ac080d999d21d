--- Temporary files and folders for specs, gone when the block ends.
local files = {}

--- A file with `text`: its path; `files.remove` takes it away.
function files.write(text)
  local path = os.tmpname()
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
  return path
end

--- Calls `fn` with the path of a file that holds `text`, and removes it.
function files.with(text, fn)
  local path = files.write(text)
  local results = table.pack(pcall(fn, path))
  os.remove(path)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- A folder, by its path, and the function that takes it away.
function files.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir -p " .. path))
  return path, function() os.execute("rm -rf " .. path) end
end

--- Writes a file where it is told, and the folders above it.
function files.put(path, text)
  assert(os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/")))
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
end

--- A folder with texts by their path in it: its path, and the function that takes it
--- away.
function files.scripts(texts)
  local folder, remove = files.folder()
  for name, text in pairs(texts) do files.put(folder .. "/" .. name, text) end
  return folder, remove
end

return files
