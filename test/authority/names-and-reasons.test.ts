import { describe, expect, it } from "vitest";
import { openAuthority, refusalOf } from "../support/authority-rig.ts";

describe("names and reasons", () => {
  it.each([
    ["a line break", "a\nb"],
    ["a line separator", "a\u2028b"],
    ["a change of the writing direction", "a\u202eb"],
    ["a space of no width", "a\u200bb"],
    ["a byte order mark", "\ufeffab"],
    ["a tag", "a\u{e0041}"],
    ["a joiner between letters that do not join", "a\u200db"],
    ["a joiner at the end", "می\u200c"],
    ["two joiners", "می\u200c\u200cخواهم"],
    ["a joiner between scripts", "می\u200cab"],
    ["a joiner after an emoji alone", "👨\u200d"],
    ["a filler", "a\u3164"],
    ["a variant of a letter that has none", "a\ufe0f"],
    ["a soft hyphen", "a\u00adb"],
  ])("refuse %s", async (_what, text) => {
    const authority = await openAuthority();
    const rule = "must not contain control characters or invisible ones";
    expect(await refusalOf(authority.issue({ name: text }))).toBe(`FIELD_INVALID: name ${rule}`);
    const { id } = await authority.issue();
    expect(await refusalOf(authority.revoke(id, text))).toBe(`FIELD_INVALID: reason ${rule}`);
  });

  it("refuse what looks like nothing, and count no blank around them", async () => {
    const authority = await openAuthority();
    const { id } = await authority.issue();
    const ruleOf = (name: string) => refusalOf(authority.issue({ name }));
    const length = "FIELD_INVALID: name must be 1 to 100 characters";
    const glyph = "FIELD_INVALID: name must have a character that can be seen";
    expect(await Promise.all(["", "   ", "\u00a0\u3000", "n".repeat(101)].map(ruleOf))).toEqual(Array(4).fill(length));
    // Combining marks, and the blank of Braille.
    expect(await Promise.all(["\u0301", "\u2800\u2800"].map(ruleOf))).toEqual([glyph, glyph]);
    expect((await authority.issue({ name: `  ${"n".repeat(100)}\u00a0 ` })).token?.name).toBe("n".repeat(100));
    expect(await refusalOf(authority.revoke(id, "\u0301"))).toBe(
      "FIELD_INVALID: reason must have a character that can be seen",
    );
    const { token } = await authority.revoke(id, "  found in a repository  ");
    expect(token?.revokeReason).toBe("found in a repository");
  });

  it.each([
    ["many scripts at once", "Zoë's 💶 – שלום عربي 日本語 ✓️"],
    ["Persian", "کلید می‌خواهم و نامه‌ها"],
    ["Hindi", "मुख्‍य कुंजी क्‌ष"],
    ["Bengali", "র‍্যাব"],
    ["Sinhala", "ශ්‍රී ලංකා"],
    ["Malayalam", "അവന്‍"],
    ["families of emoji", "👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 ❤️‍🔥 🧑‍🦯‍➡️"],
    ["flags and keycaps", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪 1️⃣"],
    ["variants of ideographs", "葛󠄀城"],
  ])("take %s", async (_what, text) => {
    const authority = await openAuthority();
    const { token, id } = await authority.issue({ name: text });
    expect(token?.name).toBe(text);
    const part = text.slice(1, -1).replaceAll(/^\p{Cs}|\p{Cs}$/gu, "");
    expect((await authority.listTokens({ nameContains: part })).tokens.map((one) => one.id)).toEqual([id]);
    expect((await authority.revoke(id, text)).token?.revokeReason).toBe(text);
  });
});
