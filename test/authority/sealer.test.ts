import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createSealer } from "../../src/authority/sealer.ts";

describe("sealing", () => {
  const sealer = createSealer(randomBytes(32));

  it("opens what it sealed, in the same context", () => {
    expect(sealer.open(sealer.seal("text", "context"), "context")).toBe("text");
  });

  it("seals the same text differently each time", () => {
    expect(sealer.seal("text", "context")).not.toEqual(sealer.seal("text", "context"));
  });

  it("does not open in another context, under another secret, with a bit changed, or cut short", () => {
    const sealed = sealer.seal("text", "context");
    expect(sealer.open(sealed, "another")).toBeNull();
    expect(createSealer(randomBytes(32)).open(sealed, "context")).toBeNull();
    for (let place = 0; place < sealed.length; place += 1) {
      const changed = Uint8Array.from(sealed, (byte, at) => (at === place ? byte ^ 1 : byte));
      expect(sealer.open(changed, "context")).toBeNull();
    }
    for (let length = 0; length < sealed.length; length += 1) {
      expect(sealer.open(sealed.subarray(0, length), "context")).toBeNull();
    }
  });
});
