/* Any file gives names and texts, and nothing else. */
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_lua.h"

static const char chunk[] =
    "local dotenv = require 'keycycle.config.dotenv'\n"
    "local function nothing() end\n"
    "return function(bytes)\n"
    "  for name, value in pairs(dotenv.parse(bytes, nothing)) do\n"
    "    assert(name:find '^[%a_][%w_.]*$' and type(value) == 'string')\n"
    "  end\n"
    "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_feed(chunk, data, n);
    return 0;
}
