import { describe, expect, it } from "vitest";
import { keyOfAuthorization } from "../../src/bearer/presented-key.ts";

const basic = (text: string): string => `Basic ${Buffer.from(text, "latin1").toString("base64")}`;

describe("the key that an Authorization header presents", () => {
  it.each([
    ["Bearer some_key", "some_key"],
    ["bearer   some_key", "some_key"],
    [basic("some_key:"), "some_key"],
    [basic("some_key:").replaceAll("=", ""), "some_key"],
  ])("is found in %j", (value, key) => {
    expect(keyOfAuthorization(value)).toBe(key);
  });

  it.each([
    "",
    "Bearer",
    "Bearer ",
    "Bearer two words",
    "Bearer some_key, Bearer other_key",
    "Digest some_key",
    "some_key",
    basic("some_key"),
    basic("some_key:password"),
    basic(":some_key"),
    basic("some:key:"),
    "Basic !!!!",
    `Bearer ${"x".repeat(600)}`,
  ])("is absent from %j", (value) => {
    expect(keyOfAuthorization(value)).toBeNull();
  });
});
