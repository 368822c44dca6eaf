import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPermission, missingPermissions } from "../../src/authority/permission.ts";

const resource = fc.constantFrom("events", "payment_intents", "payment", "payment_intents_x", "a");
const action = fc.constantFrom("read", "write");
const permission = fc.tuple(resource, action).map(([one, other]) => `${one}:${other}`);
const permissions = fc.uniqueArray(permission, { maxLength: 8 });

describe("permission syntax", () => {
  it.each(["a:read", "payment_intents:write", "a0_:read", `${"a".repeat(63)}:write`])("accepts %s", (text) => {
    expect(isPermission(text)).toBe(true);
  });

  it.each([
    "",
    "a",
    "a:",
    ":read",
    "a:readwrite",
    "A:read",
    "1a:read",
    "_a:read",
    "a-b:read",
    "a:read ",
    "a:read\n",
    " a:read",
    "*:read",
    "a:*",
    "a:b:read",
    `${"a".repeat(64)}:read`,
  ])("refuses %j", (text) => {
    expect(isPermission(text)).toBe(false);
  });
});

describe("what a key covers", () => {
  it("is no resource whose name begins or ends alike", () => {
    const given = ["payment:read", "payment_intents_x:write", "my_events:write"];
    for (const required of [
      "payment_intents:read",
      "payment_intent:read",
      "pay:read",
      "events:read",
      "payment:write",
    ]) {
      expect(missingPermissions("restricted", given, [required])).toEqual([required]);
    }
  });

  it("is everything for a secret key and nothing for a publishable one", () => {
    fc.assert(
      fc.property(permissions, permissions, (given, required) => {
        expect(missingPermissions("secret", given, required)).toEqual([]);
        expect(missingPermissions("publishable", given, required)).toEqual(required);
      }),
    );
  });

  it("is, for a restricted key, exactly what it was given, and the reading of what it may write", () => {
    fc.assert(
      fc.property(permissions, permissions, (given, required) => {
        const missing = missingPermissions("restricted", given, required);
        for (const one of required) {
          const [name, verb] = one.split(":");
          const covered = given.includes(one) || (verb === "read" && given.includes(`${name}:write`));
          expect(missing.includes(one)).toBe(!covered);
        }
        expect(required).toEqual(expect.arrayContaining([...missing]));
      }),
    );
  });

  it("never shrinks when more is given", () => {
    fc.assert(
      fc.property(permissions, permission, permissions, (given, more, required) => {
        const before = missingPermissions("restricted", given, required);
        const after = missingPermissions("restricted", [...given, more], required);
        expect(before).toEqual(expect.arrayContaining([...after]));
      }),
    );
  });
});
