import { describe, expect, it } from "vitest";
import { commands } from "../../tokenctl/commands.ts";
import { ahead, back, manual, optionsOf, parseUsage } from "../../tokenctl/usage.ts";

const parse = (command: string, ...args: readonly string[]) => parseUsage(manual.get(command) ?? "", args);

describe("the manual of tokenctl", () => {
  it("has every command, and no other", () => {
    expect([...manual.keys()].toSorted()).toEqual(Object.keys(commands).toSorted());
  });

  it("keeps no key in an option: keys come on standard input", () => {
    const options = [...manual.values()].flatMap((text) => [...optionsOf(text)]);
    expect(options.length).toBeGreaterThan(20);
    expect(options.filter(([name, value]) => /key/i.test(name + value))).toEqual([]);
  });

  it.each([
    [["get"], "say ID"],
    [["get", "tok_1", "tok_2"], "say ID"],
    [["list", "tok_1"], "the command takes options only"],
    [["list", "--colour"], "Unknown option '--colour'"],
    [["list", "--account"], "argument missing"],
    [["list", "--json=yes"], "does not take an argument"],
    [["list", "--type", "special"], "--type must be one of secret, restricted, publishable"],
  ] as const)("refuses %j", ([command, ...args], complaint) => {
    expect(() => parse(command, ...args)).toThrow(complaint);
  });

  it("refuses an option that is said twice, and one that is missing", () => {
    expect(() => parse("list", "--account", "a", "--account", "b").one("account")).toThrow(
      "--account can be said once",
    );
    expect(() => parse("create").need("name")).toThrow("say --name TEXT");
    expect(parse("create", "--permission", "a:read", "--permission", "b:read").many("permission")).toHaveLength(2);
  });

  it("reads days, times with a zone, and distances, and nothing else", () => {
    expect(ahead("2026-12-01")?.toISOString()).toBe("2026-12-01T00:00:00.000Z");
    expect(ahead("2026-12-01T08:00+01:00")?.toISOString()).toBe("2026-12-01T07:00:00.000Z");
    expect(Number(ahead("90m")) - Date.now()).toBeCloseTo(90 * 60_000, -4);
    expect(Number(back("30d")) - Date.now()).toBeCloseTo(-30 * 86_400_000, -4);
    for (const text of ["", "yesterday", "2026-12-01T08:00", "2026-13-01", "1.5h", "-3d", "3w", "999999d", "0x10"]) {
      expect({ text, read: ahead(text) }).toEqual({ text, read: null });
    }
    expect(() => parse("create", "--expires", "soon").read("expires", ahead)).toThrow("--expires is no TIME");
  });
});
