std = "lua54"
max_line_length = 100
files["tests"] = { std = "lua54+busted" }
files["lua/keycycle/providers"] = { read_globals = { "keycycle" } }
files["lua/keycycle/policies"] = { read_globals = { "keycycle" } }
files["lua/keycycle/limits"] = { read_globals = { "keycycle" } }
files["tests/fixtures/scripts"] = { read_globals = { "keycycle" } }
files["tests/hosts"] = { globals = { "check", "lighty" },
  read_globals = { "count", "enter", "look_ups", "luaopen_keycycle", "to_the_end" } }
exclude_files = { "build", "lua/keycycle/meta" }
