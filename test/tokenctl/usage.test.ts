import { describe, expect, it } from "vitest";
import { commands } from "../../tokenctl/commands.ts";
import { manual, optionsOf, parseUsage, timeOf } from "../../tokenctl/usage.ts";

const parse = (command: string, ...args: readonly string[]) => parseUsage(manual.get(command) ?? "", args);

describe("the manual of tokenctl", () => {
  it("has every command, and no other", () => {
    const ownAnswers = ["completion", "version"];
    expect([...manual.keys()].toSorted()).toEqual([...Object.keys(commands), ...ownAnswers].toSorted());
  });

  it("keeps no key in an option: keys come on standard input", () => {
    const options = [...manual.values()].flatMap(optionsOf);
    expect(options.length).toBeGreaterThan(20);
    expect(options.filter(({ name, word }) => /key/i.test(name + word))).toEqual([]);
  });

  it.each([
    [["get"], "the operands are ID"],
    [["get", "tok_1", "tok_2"], "the operands are ID"],
    [["list", "tok_1"], "the operands are none"],
    [["hold", "tok_1", "tok_2"], "the operands are [ID]"],
    [["list", "--colour"], "Unknown option '--colour'"],
    [["list", "--account"], "argument missing"],
    [["list", "--json=yes"], "does not take an argument"],
    [["list", "--type", "special"], "--type must be secret|restricted|publishable"],
    [["list", "--held", "maybe"], "--held must be yes|no"],
    [["create", "--mode", "prod"], "--mode must be live|test"],
    [["list", "--account", "a", "--account", "b"], "--account can be said once"],
    [["create", "--expires", "soon"], "--expires must be TIME"],
    [["rotate", "tok_1", "--overlap", "soon"], "--overlap must be DISTANCE"],
    [["purge", "--up-to-revision", "1e3"], "--up-to-revision must be REVISION"],
  ] as const)("refuses %j", ([command, ...args], complaint) => {
    expect(() => parse(command, ...args)).toThrow(complaint);
  });

  it("reads options as the client wants them", () => {
    const given = parse(
      "create",
      "--mode",
      "test",
      "--permission",
      "a:read",
      "--permission",
      "b:read",
      "--type",
      "secret",
    );
    expect(given.options).toEqual({ livemode: false, permissions: ["a:read", "b:read"], type: "secret" });
    const filter = [
      "--type",
      "secret",
      "--state",
      "active",
      "--permission",
      "a:read",
      "--mode",
      "live",
      "--hint",
      "abcd",
    ];
    expect(parse("purge", ...filter, "--held", "no", "--dry-run", "--up-to-revision", "7").options).toEqual({
      types: ["secret"],
      states: ["active"],
      permission: "a:read",
      livemode: true,
      keyHint: "abcd",
      held: false,
      dryRun: true,
      upToRevision: 7,
    });
    expect(parse("rotate", "tok_1", "--overlap", "90m")).toEqual({
      operands: ["tok_1"],
      options: { overlap: 5_400_000 },
    });
  });

  it("takes a distance ahead where something expires, and back everywhere else", () => {
    const { expiresFrom, unusedSince } = parse("list", "--expires-from", "2d", "--unused-since", "2d").options;
    expect(Number(expiresFrom) - Date.now()).toBeCloseTo(2 * 86_400_000, -4);
    expect(Number(unusedSince) - Date.now()).toBeCloseTo(-2 * 86_400_000, -4);
  });

  it("reads days, times with a zone, and distances, and nothing else", () => {
    expect(timeOf("2026-12-01", 1)?.toISOString()).toBe("2026-12-01T00:00:00.000Z");
    expect(timeOf("2026-12-01T08:00+01:00", 1)?.toISOString()).toBe("2026-12-01T07:00:00.000Z");
    for (const text of [
      ...["", "yesterday", "2026-12-01T08:00", "2026-13-01", "2026-12-01T8Z", "2026-12-01T::Z", "2026"],
      ...["1.5h", "-3d", "3w", "999999d", "0x10", "3constructor"],
    ]) {
      expect({ text, read: timeOf(text, 1) }).toEqual({ text, read: null });
    }
  });
});
