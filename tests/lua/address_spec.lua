local address = require "keycycle.call.address"

describe("a base_url", function()
  it("is scheme, host, port and path, and nothing else", function()
    for _, url in ipairs { "https://api.a.test", "https://api.a.test/v1/", "http://127.0.0.1:80",
      "HTTPS://API.A.TEST/v1", "https://[::1]:8443/v1", "https://{resource}.a.test/{name}",
      "https://a.test/v1/accounts/{id}/@x:y", "https://a.test:65535" } do
      assert.is_nil(address.url_fault(url), url)
    end
  end)

  it("is refused where it could be read as another host", function()
    for _, url in ipairs { "", "a.test", "//a.test", "https:/a.test", "https:a.test",
      "https//a.test",
      "ftp://a.test", "file:///etc/passwd", "javascript://a.test", "https://", "https:///v1",
      "https://me@a.test", "https://a.test@b.test/v1", "https://me:pw@a.test",
      "https://a.test:pw@b.test", "https://a.test\\@b.test", "https:\\\\a.test",
      "https://a.test\\.b.test", "https://a.test?.b.test", "https://a.test#.b.test",
      "https://a.test/v1?x=", "https://a.test/v1#x", " https://a.test", "https://a.test ",
      "https://a.test\t.b.test", "https://a.test\n.b.test", "https://a.test\r\n",
      "https://a\0.test", "https://\u{430}.test", "https://a\u{3002}test", "https://a%2etest",
      "https://a.test%00.b.test",
      "https://a.test:0", "https://a.test:65536", "https://a.test:", "https://a.test:x",
      "https://[::1", "https://[::1%25lo]", "https://[::1]x", "https://[a.test]", "https://a,b",
      "https://a.test//b.test", "https://a.test/../v1", "https://a.test/./v1",
      "https://a.test/%2e%2E/v1" } do
      assert.is_string(address.url_fault(url), url)
      assert.is_nil(address.origin(url))
    end
  end)

  it("has an origin that is the same however it is written", function()
    for _, url in ipairs { "https://api.a.test", "HTTPS://Api.A.Test/v1", "https://api.a.test:443/",
      "https://api.a.test:0443" } do
      assert.equal("https://api.a.test:443", address.origin(url))
    end
    assert.equal("http://[::1]:80", address.origin "http://[::1]/x")
    assert.not_equal(address.origin "https://a.test", address.origin "https://a.test.")
    assert.not_equal(address.origin "https://a.test", address.origin "http://a.test:443")
  end)
end)

describe("a route's path", function()
  it("begins at the host, and does not climb", function()
    for _, path in ipairs { "/", "/chat/completions", "/models/{model}:generate", "/a.b/..c/@x",
      "/v1/x?y=1" } do
      assert.is_nil(address.path_fault(path), path)
    end
    for _, path in ipairs { "", "chat", "//evil.test/x", "/\\evil.test", "\\evil.test", "/a b",
      "/a\r\nhost: x", "/a\0", "/..", "/../x", "/a/../../x", "/a/.", "/%2E%2e/x", "/.%2e", "/a#b",
      "/\u{2215}", "@evil.test", ":80/x", ".evil.test/x" } do
      assert.is_string(address.path_fault(path), path)
    end
  end)
end)

describe("a provider's header", function()
  local auth = { header = "X-Key", value = "{api_key}" }
  it("is one line of its own", function()
    assert.is_nil(address.header_fault("x-version", "2026-01-01", auth))
    assert.is_nil(address.header_fault("x-version", 5, auth))
    for name, value in pairs { ["x y"] = "a", ["x:"] = "a", [""] = "a", ["x\r\ny"] = "a", [1] = "a",
      ["x-a"] = "b\r\nhost: evil.test", ["x-b"] = "b\n", ["x-c"] = "b\0", ["x-d"] = true,
      ["x-e"] = {} } do
      assert.is_string(address.header_fault(name, value, auth), name)
    end
  end)

  it("is none that the transport or auth sets", function()
    for _, name in ipairs { "host", "Host", "Content-Length", "transfer-encoding", "Connection",
      "TE", "upgrade", "trailer", "expect", "authorization", "Proxy-Authorization",
      "cookie", "x-key" } do
      assert.is_string(address.header_fault(name, "x", auth), name)
    end
  end)
end)

describe("a provider's auth", function()
  it("holds the key once, and nothing else that is filled in", function()
    assert.is_nil(address.auth_fault { header = "authorization", value = "Bearer {api_key}" })
    assert.is_nil(address.auth_fault { query = "key", value = "{api_key}" })
    for _, auth in ipairs { { header = "authorization", value = "Bearer" },
      { header = "authorization", value = "{api_key} {api_key}" },
      { header = "authorization", value = "{api_key} {organization}" },
      { header = "authorization", value = "{API_KEY}" },
      { header = "authorization", value = "{api_key}\r\nx: y" },
      { header = "host", value = "{api_key}" }, { header = "Content-Length", value = "{api_key}" },
      { header = "x y", value = "{api_key}" }, { query = "a&b", value = "{api_key}\n" } } do
      assert.is_string(address.auth_fault(auth), auth.value)
    end
  end)
end)
