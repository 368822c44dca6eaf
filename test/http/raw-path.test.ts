import { expect, it } from "vitest";
import { rawPath, rawQuery } from "../../src/wire/raw-path.ts";

it.each([
  ["https://authority.test/v1/tokens?limit=2", "/v1/tokens", "limit=2"],
  ["http://[::1]:8080/authorize?permission=a:read&permission=b?c", "/authorize", "permission=a:read&permission=b?c"],
  ["http://localhost", "", ""],
  ["http://localhost/?", "/", ""],
  ["http://localhost/a??b", "/a", "?b"],
  ["http://localhost?permission=none", "", "permission=none"],
  // What a parser of URLs would make another path of.
  ["http://localhost/v1/../authorize", "/v1/../authorize", ""],
  ["http://localhost/%61uthorize", "/%61uthorize", ""],
  ["http://localhost//authorize", "//authorize", ""],
  ["http://localhost/authorize/.", "/authorize/.", ""],
])("the path and the query of %s stay as they were sent", (url, path, query) => {
  expect([rawPath(url), rawQuery(url)]).toEqual([path, query]);
});
