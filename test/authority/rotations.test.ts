import { describe, expect, it } from "vitest";
import { openAuthority, operator, refusalOf } from "../support/authority-rig.ts";

const minuteMs = 60_000;

async function openRotating() {
  const authority = await openAuthority();
  return {
    ...authority,
    rotate: (id: string, overlapMs = minuteMs) => authority.rotateKey(operator, { id, overlapMs, requestId: "" }),
  };
}

describe("a key that a rotation ends", () => {
  it("is refused from the millisecond of its end, and lives up to it, also from memory", async () => {
    const authority = await openRotating();
    const { key: oldKey, id } = await authority.issue();
    const { key } = await authority.rotate(id);
    for (const _ of [1, 2, 3]) {
      expect(await authority.verdictOf(oldKey)).toBe("principal");
    }
    authority.clock.nowMs += minuteMs - 1;
    expect(await authority.verdictOf(oldKey)).toBe("principal");
    authority.clock.nowMs += 1;
    expect(await authority.verdictOf(oldKey)).toBe("KEY_RETIRED");
    expect(await authority.verdictOf(key)).toBe("principal");
    // The clock that runs back gives no end back.
    authority.clock.nowMs -= 10;
    expect(await authority.verdictOf(oldKey)).toBe("KEY_RETIRED");
  });

  it("is told as retired before its token is told as expired, and after it is told as revoked", async () => {
    const authority = await openRotating();
    const { key: oldKey, id } = await authority.issue({ expiresAtMs: authority.clock.nowMs + 2 * minuteMs });
    const { key } = await authority.rotate(id);
    authority.clock.nowMs += 2 * minuteMs;
    expect(await authority.verdictOf(oldKey)).toBe("KEY_RETIRED");
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
    await authority.revoke(id);
    expect(await authority.verdictOf(oldKey)).toBe("TOKEN_REVOKED");
    expect(await authority.verdictOf(key)).toBe("TOKEN_REVOKED");
  });

  it("is refused by the first Authenticate after EndRotation was answered", async () => {
    const authority = await openRotating();
    for (let round = 0; round < 50; round += 1) {
      const { key: oldKey, id } = await authority.issue();
      const { key } = await authority.rotate(id);
      const during = Array.from({ length: 10 }, () => authority.verdictOf(oldKey));
      const [ended, goesOn] = round % 2 === 0 ? [oldKey, key] : [key, oldKey];
      await authority.endRotation(operator, id, { kind: round % 2 === 0 ? "cut" : "cancel" });
      expect(await authority.verdictOf(ended)).toBe("KEY_RETIRED");
      expect(await authority.verdictOf(goesOn)).toBe("principal");
      await Promise.all(during);
    }
  });

  it("was unknown before its rotation was answered, and is known from then on", async () => {
    const authority = await openRotating();
    const { id } = await authority.issue();
    for (let round = 0; round < 20; round += 1) {
      const { key } = await authority.rotate(id);
      expect(await authority.verdictOf(key)).toBe("principal");
      await authority.endRotation(operator, id, { kind: "cut" });
    }
  });
});

it("a service rotates restricted tokens only", async () => {
  const authority = await openRotating();
  const service = { identity: "spiffe://casapay/service", role: "service" } as const;
  const secret = await authority.issue();
  const restricted = await authority.issue({ type: "restricted", permissions: ["events:read"] });
  const rotate = (id: string) => authority.rotateKey(service, { id, overlapMs: minuteMs, requestId: "" });
  const end = (id: string) => authority.endRotation(service, id, { kind: "cut" });
  expect(await refusalOf(rotate(secret.id))).toBe("TYPE_NOT_GRANTED:  the role service may not rotate secret tokens");
  await authority.rotate(secret.id);
  expect(await refusalOf(end(secret.id))).toBe("TYPE_NOT_GRANTED:  the role service may not rotate secret tokens");
  await rotate(restricted.id);
  await end(restricted.id);
});
