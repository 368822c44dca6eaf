import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TestServer } from "../support/test-server.ts";

type Rules = {
  plainRule(message: string): string;
  ruleOf(field: string, message: string): string;
  lineAtFault(text: string): string;
};
// What runs in the browser, as it stands.
const { plainRule, ruleOf, lineAtFault }: Rules = await import(
  join(import.meta.dirname, "../../src/doors/console/page/rules.js")
);

const good = { account: "acct_1", name: "a key", type: "TOKEN_TYPE_RESTRICTED", permissions: ["events:read"] };
const key = `sk_live_${"a".repeat(38)}`;
const id = `tok_${"a".repeat(20)}`;

const broken: readonly (readonly [what: string, rpc: string, request: object, plain: RegExp])[] = [
  ["an account with a blank", "Create", { ...good, account: "acct 1" }, /^Only letters/],
  ["no name", "Create", { ...good, name: "" }, /^It has 1 to 100 characters\.$/],
  ["a name that nobody can see", "Create", { ...good, name: "a\u200bb" }, /nobody can see/],
  ["a name of what is invisible", "Create", { ...good, name: "\u2800" }, /^Nothing of it can be seen/],
  ["a name with a key", "Create", { ...good, name: key }, /^A key stands in it/],
  ["a wrong permission", "Create", { ...good, permissions: ["everything"] }, /^A permission is a resource/],
  ["the same permission twice", "Create", { ...good, permissions: ["a:read", "a:read"] }, /twice/],
  ["no permission", "Create", { ...good, permissions: [] }, /1 to 100 permissions/],
  [
    "too many permissions",
    "Create",
    { ...good, permissions: Array.from({ length: 101 }, (_, at) => `a${at}:read`) },
    /^A restricted key has 100/,
  ],
  ["an expiry that has passed", "Create", { ...good, expireTime: "2020-01-01T00:00:00Z" }, /^This time has passed/],
  ["a long reason", "Revoke", { id, reason: "a".repeat(257) }, /^256 characters at the most/],
  ["a long name to look for", "List", { nameContains: "a".repeat(101) }, /^It has 1 to 100 characters/],
  ["a hint that is none", "List", { keyHint: "ab" }, /^The last 4 characters/],
  ["a creator with a key in it", "List", { createdBy: key }, /^The name of a service/],
  ["a caller that no journal has", "ListChanges", { caller: "é" }, /^The name of a service/],
  ["an account of the journal", "ListChanges", { account: "a b" }, /^Only letters/],
  ["a prefix", "ListAccounts", { prefix: "a b" }, /^Only letters/],
  ["an id", "Get", { id: "tok_short" }, /^A token's id/],
];

describe("rules in plain words", () => {
  it("are there for each that the authority may answer to what is filled in", async () => {
    await using server = await TestServer.start();
    for (const [what, rpc, request, plain] of broken) {
      const response = await fetch(`http://${server.server.address}/casapay.token.v1.TokenService/${rpc}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(request),
      });
      const { message } = JSON.parse(await response.text());
      expect(response.status, what).toBe(400);
      expect(plainRule(message), what).toMatch(plain);
    }
  });

  it("name the field where none stands beside them, and what has none stays in the authority's words", () => {
    expect(ruleOf("key_hint", "key_hint must be the last 4 characters of a key, of [0-9A-Za-z]")).toMatch(
      /^Key ends with: The last 4/,
    );
    expect(ruleOf("", "something new is wrong")).toBe("Something new is wrong.");
  });

  it("of permissions name the line", () => {
    expect(lineAtFault("events:read\n\neverything\n")).toBe("Line 3, “everything”: ");
    expect(lineAtFault("events:read, balance:admin")).toBe("Line 1, “balance:admin”: ");
    expect(lineAtFault("events:read\nevents:write\nevents:read")).toBe("Line 3, “events:read”: ");
    expect(lineAtFault("events:read\nevents:write")).toBe("");
  });
});
