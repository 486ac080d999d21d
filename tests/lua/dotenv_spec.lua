local dotenv = require "keycycle.config.dotenv"

local function none() end

describe("a .env file", function()
  local function read(text, env)
    return dotenv.parse(text, env and function(name) return env[name] end or none)
  end

  it("is lines of NAME=value", function()
    assert.same({ A = "1", B_2 = "two", C = "" }, read "A=1\n  B_2 = two  \nC=\n")
    assert.same({ A = "a=b" }, read "A=a=b")
    assert.same({ A = "1", B = "2" }, read "\xEF\xBB\xBFA=1\r\nB=2\r\n")
  end)

  it("may say export", function()
    assert.same({ A = "1" }, read "export A=1")
    assert.same({ export = "1" }, read "export=1")
  end)

  it("has comments", function()
    assert.same({ A = "1", B = "x#y", C = "" }, read "# c\nA=1 # one\nB=x#y\nC= # none\n")
    assert.same({ A = "x # y" }, read "A='x # y' # outside")
  end)

  it("has quotes", function()
    assert.same({ A = "${B} \\n" }, read "A='${B} \\n'")
    assert.same({ A = 'a\nb\t"c"\\' }, read [[A="a\nb\t\"c\"\\"]])
    assert.same({ A = "two\nlines", B = "2" }, read 'A="two\nlines"\nB=2')
    assert.same({ A = "'open", B = '"open' }, read "A='open\nB=\"open")
  end)

  it("expands ${NAME}, from the environment first, and nothing else", function()
    assert.same({ A = "1", B = "1-1" }, read 'A=1\nB="${A}-${A}"')
    assert.same({ A = "1", B = "real" }, read("A=1\nB=${A}", { A = "real" }))
    assert.same({ B = "" }, read "B=${NOBODY}")
    assert.same({ A = "pa$word $A" }, read "A=pa$word $A")
    assert.same({ A = "${B}" }, read [[A="\${B}"]])
  end)

  it("passes over what is no assignment", function()
    assert.same({ B = "1" }, read "hello\n=x\n1A=2\nB=1\n\n")
  end)

  it("is read from a path, or says why not", function()
    local values, why = dotenv.read "/nowhere/at/all"
    assert.is_nil(values)
    assert.truthy(why:find("/nowhere/at/all", 1, true))
    values = dotenv.read "/" -- a folder
    assert.is_nil(values)
  end)
end)
