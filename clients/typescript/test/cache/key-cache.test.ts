import { beforeEach, describe, expect, it } from "vitest";
import type { Answer, Facts } from "../../src/cache/facts.ts";
import { digestOf, KeyCache } from "../../src/cache/key-cache.ts";
import type { Decision, Question } from "../../src/index.ts";

const key = "sk_live_one";
const other = "sk_live_two";
const anything: Question = {};
const leaseMs = 2_000;

const restricted: Facts = {
  standing: {
    kind: "principal",
    type: "restricted",
    livemode: true,
    permissions: ["charges:write"],
    covered: new Set(["charges:read", "charges:write"]),
  },
  tokenId: "tok_acct_1",
  account: "acct_1",
  expiresAtMs: null,
};

let cache: KeyCache;
let monotonicMs: number;
let wallMs: number;

beforeEach(() => {
  monotonicMs = 1_000;
  wallMs = Date.UTC(2030, 0, 1);
  cache = new KeyCache(2 ** 20, { monotonicMs: () => monotonicMs, wallMs: () => wallMs });
});

/** Both clocks go on. */
function pass(ms: number): void {
  monotonicMs += ms;
  wallMs += ms;
}

function renew(): void {
  cache.grant({ monotonicMs, wallMs }, leaseMs);
}

/** As the first lease of a stream does. */
function begin(revision: number): void {
  cache.beginForgets(revision);
  renew();
}

function principal(account = "acct_1"): Facts {
  return { ...restricted, tokenId: `tok_${account}`, account };
}

function refused(reason: "TOKEN_REVOKED" | "KEY_UNKNOWN"): Facts {
  const whose = reason === "KEY_UNKNOWN" ? { tokenId: null, account: null } : { tokenId: "tok_1", account: "acct_1" };
  return { standing: { kind: "refusal", reason }, expiresAtMs: null, ...whose };
}

/** Puts the widest question to an authority that answers at once. */
function fill(text: string, answer: Partial<Answer> = {}): Decision | null {
  const begun = cache.beginFill(text, anything);
  const whole = { facts: principal(), revision: 10, cacheForMs: 3_600_000, ...answer };
  return begun === null ? null : cache.endFill(begun, whole, anything);
}

function decided(text: string, question = anything): string | null {
  const decision = cache.decide(text, question);
  return decision?.kind === "refusal" ? decision.reason : (decision?.kind ?? null);
}

describe("a lease", () => {
  it("is needed to keep an answer and to decide by it", () => {
    expect(fill(key)).toBeNull();
    begin(10);
    expect(fill(key)).toMatchObject({ kind: "principal", source: "authority" });
    expect(cache.decide(key, anything)).toMatchObject({ kind: "principal", tokenId: "tok_acct_1", source: "cache" });
    cache.endLease();
    expect([decided(key), fill(key)]).toEqual([null, null]);
    renew();
    expect(decided(key)).toBe("principal");
  });

  it("runs from before it was asked for, not from when it was granted", () => {
    begin(10);
    fill(key);
    const asked = { monotonicMs, wallMs };
    pass(1_500);
    cache.grant(asked, leaseMs);
    pass(499);
    expect(decided(key)).toBe("principal");
    pass(1);
    expect(decided(key)).toBeNull();
  });

  it("is over by the wall clock too: a machine that slept has a monotonic clock that stood still", () => {
    begin(10);
    fill(key);
    pass(1_800);
    wallMs += 200;
    expect(decided(key)).toBeNull();
  });

  it.each([251, -251])("ends with all that is kept when the clocks move apart by %i ms", (ms) => {
    begin(10);
    fill(key);
    wallMs += ms;
    expect(decided(key)).toBeNull();
    // How long the answer was kept is not known any more.
    begin(10);
    expect(decided(key)).toBeNull();
  });

  it("bears clocks that move apart by less, and counts that anew with each lease", () => {
    begin(10);
    fill(key);
    for (let times = 0; times < 4; times += 1) {
      wallMs += 250;
      expect(decided(key)).toBe("principal");
      renew();
    }
  });

  it("that was asked for before the clocks moved apart grants nothing", () => {
    begin(10);
    const asked = { monotonicMs, wallMs };
    wallMs += 60_000;
    cache.grant(asked, leaseMs);
    expect([cache.isHeld(), fill(key)]).toEqual([false, null]);
  });
});

describe("an answer", () => {
  beforeEach(() => begin(10));

  it("of before a word about its key is not kept after it", () => {
    const begun = cache.beginFill(key, anything);
    cache.forgetKey(digestOf(key), 12);
    if (begun === null) {
      throw new Error("no lease is held");
    }
    const late = { facts: principal(), revision: 11, cacheForMs: 60_000 };
    expect(cache.endFill(begun, late, anything)).toMatchObject({ kind: "principal" });
    expect(decided(key)).toBeNull();
    fill(key, { facts: refused("TOKEN_REVOKED"), revision: 12 });
    expect(decided(key)).toBe("TOKEN_REVOKED");
  });

  it("of before a word about its account is not kept after it", () => {
    cache.forgetAccount("acct_1", 12);
    fill(key, { revision: 11 });
    fill(other, { facts: principal("acct_2"), revision: 11 });
    expect([decided(key), decided(other)]).toEqual([null, "principal"]);
    fill(key, { revision: 12 });
    expect(decided(key)).toBe("principal");
  });

  it("of before the first lease is not kept: what happened then is never told", () => {
    fill(key, { revision: 9 });
    expect(decided(key)).toBeNull();
    fill(key, { revision: 10 });
    expect(decided(key)).toBe("principal");
  });

  it("of before a word that is not remembered any more is not kept", () => {
    cache.forgetKey(digestOf(key), 12);
    for (let revision = 13; revision < 13 + 65_536; revision += 1) {
      cache.forgetKey(digestOf(`other ${revision}`), revision);
    }
    fill(key, { revision: 11 });
    fill(other, { revision: 11 });
    expect([decided(key), decided(other)]).toEqual([null, null]);
    fill(other, { revision: 13 + 65_536 });
    expect(decided(other)).toBe("principal");
  });

  it("of before an older word that comes again is held back by the newer", () => {
    cache.forgetKey(digestOf(key), 14);
    cache.forgetKey(digestOf(key), 12);
    fill(key, { revision: 13 });
    expect(decided(key)).toBeNull();
  });

  it("that was asked for before everything was forgotten is not kept after it", () => {
    const begun = cache.beginFill(key, anything);
    cache.forgetAll();
    begin(3);
    if (begun === null) {
      throw new Error("no lease is held");
    }
    cache.endFill(begun, { facts: principal(), revision: 10, cacheForMs: 60_000 }, anything);
    expect(decided(key)).toBeNull();
  });

  it("is kept no longer than it may be, counted from before it was asked for", () => {
    const begun = cache.beginFill(key, anything);
    pass(400);
    if (begun === null) {
      throw new Error("no lease is held");
    }
    cache.endFill(begun, { facts: principal(), revision: 10, cacheForMs: 1_000 }, anything);
    pass(599);
    expect(decided(key)).toBe("principal");
    pass(1);
    expect(decided(key)).toBeNull();
  });

  it("without such a time is decided by and not kept", () => {
    expect(fill(key, { cacheForMs: null })).toMatchObject({ kind: "principal", source: "authority" });
    expect(decided(key)).toBeNull();
  });

  it("about an unknown key is kept for five seconds at most", () => {
    fill(key, { facts: refused("KEY_UNKNOWN") });
    for (let ms = 0; ms < 5_000; ms += 500) {
      expect(decided(key)).toBe("KEY_UNKNOWN");
      pass(500);
      renew();
    }
    expect(decided(key)).toBeNull();
  });

  it("answers every other question, as far as questions make sense", () => {
    fill(key, { facts: restricted });
    expect(decided(key, { requiredPermissions: ["charges:read"] })).toBe("principal");
    expect(decided(key, { requiredPermissions: ["events:read"] })).toBe("INSUFFICIENT_PERMISSIONS");
    expect(decided(key, { livemode: false })).toBe("LIVEMODE_MISMATCH");
    expect(decided(key, { allowedTypes: ["secret"] })).toBe("TYPE_NOT_ALLOWED");
    expect(decided(key, { requiredPermissions: ["charges:all"] })).toBeNull();
  });
});

describe("a holder, once it has answered by a newer revision, does not go back", () => {
  beforeEach(() => begin(10));

  it("to an older answer that comes later", () => {
    fill(key, { facts: refused("TOKEN_REVOKED"), revision: 12 });
    expect(fill(key, { revision: 11 })).toMatchObject({ reason: "TOKEN_REVOKED" });
    expect(decided(key)).toBe("TOKEN_REVOKED");
    fill(other, { facts: refused("KEY_UNKNOWN"), revision: 12 });
    fill(other, { revision: 11 });
    expect(decided(other)).toBe("KEY_UNKNOWN");
    fill(other, { revision: 13 });
    expect(decided(other)).toBe("principal");
  });

  it("to an older answer when the newer may not be kept any longer", () => {
    fill(key, { facts: refused("TOKEN_REVOKED"), revision: 12, cacheForMs: 1_000 });
    pass(1_000);
    fill(key, { revision: 11 });
    expect(decided(key)).toBeNull();
  });

  it("to an older answer when the newer was never kept", () => {
    fill(key, { revision: 10 });
    fill(key, { facts: refused("TOKEN_REVOKED"), revision: 12, cacheForMs: null });
    expect(decided(key)).toBeNull();
    fill(key, { revision: 11 });
    expect(decided(key)).toBeNull();
  });

  it("to an older answer when the newer was pushed out", () => {
    fill(key, { facts: refused("TOKEN_REVOKED"), revision: 12 });
    for (let count = 0; decided(other) === null || count < 6_000; count += 1) {
      fill(`filler ${count}`, { revision: 12 });
      fill(other, { revision: 12 });
    }
    expect(decided(key)).toBeNull();
    fill(key, { revision: 11 });
    expect(decided(key)).toBeNull();
  });

  it("to what it knew before, or asked for, when a question was answered as it is", () => {
    const begun = cache.beginFill(other, anything);
    fill(key);
    cache.overrule(key);
    expect(decided(key)).toBeNull();
    if (begun === null) {
      throw new Error("no lease is held");
    }
    cache.endFill(begun, { facts: principal(), revision: 10, cacheForMs: 60_000 }, anything);
    expect(decided(other)).toBeNull();
  });
});

describe("a word of the authority", () => {
  beforeEach(() => begin(10));

  it("takes its key away, and no other", () => {
    fill(key);
    fill(other);
    cache.forgetKey(digestOf(key), 11);
    expect([decided(key), decided(other)]).toEqual([null, "principal"]);
  });

  it("takes the keys of its account away, and no others", () => {
    fill(key);
    fill(other, { facts: principal("acct_2") });
    cache.forgetAccount("acct_1", 11);
    expect([decided(key), decided(other)]).toEqual([null, "principal"]);
  });
});

describe("a word of the authority that comes late", () => {
  beforeEach(() => begin(10));

  it("leaves what knows of its change", () => {
    fill(key, { revision: 12 });
    fill(other, { facts: principal("acct_2"), revision: 12 });
    cache.forgetKey(digestOf(key), 12);
    cache.forgetAccount("acct_2", 11);
    expect([decided(key), decided(other)]).toEqual(["principal", "principal"]);
  });
});

describe("memory", () => {
  beforeEach(() => begin(10));

  it("is bounded by bytes, and forgets what was not asked for lately", () => {
    fill(key);
    for (let count = 0; count < 20_000; count += 1) {
      fill(`filler ${count}`);
      expect(decided(key)).toBe("principal");
    }
    expect(cache.size).toBeLessThan(3_000);
    expect(decided("filler 0")).toBeNull();
    expect(decided("filler 19999")).toBe("principal");
  });

  it("keeps unknown keys apart: a flood of them pushes out no key of a token", () => {
    fill(key);
    for (let count = 0; count < 20_000; count += 1) {
      fill(`unknown ${count}`, { facts: refused("KEY_UNKNOWN") });
    }
    expect(cache.size).toBeLessThan(2 ** 20 / 8 / 82);
    expect(decided(key)).toBe("principal");
  });
});

describe("two keys whose digests begin alike", () => {
  beforeEach(() => begin(10));

  it("are told apart, and the unknown one pushes the other out of nothing", () => {
    const [one, two] = alike();
    fill(two, { facts: refused("KEY_UNKNOWN") });
    expect(decided(one)).toBeNull();
    fill(one);
    expect([decided(one), decided(two)]).toEqual(["principal", "KEY_UNKNOWN"]);
    fill(two);
    expect([decided(one), decided(two)]).toEqual(["principal", "principal"]);
    cache.forgetKey(digestOf(one), 11);
    expect([decided(one), decided(two)]).toEqual([null, "principal"]);
  });

  /** Found by trying: the first four bytes of their digests are equal. */
  function alike(): readonly [string, string] {
    const seen = new Map<string, string>();
    for (let count = 0; ; count += 1) {
      const text = `alike ${count}`;
      const start = digestOf(text).slice(0, 4);
      const earlier = seen.get(start);
      if (earlier !== undefined) {
        return [earlier, text];
      }
      seen.set(start, text);
    }
  }
});

describe("uses", () => {
  beforeEach(() => begin(10));

  it("of all that was accepted are reported once, with their age", () => {
    fill(key);
    decided(key);
    pass(100);
    decided(key);
    decided(key, { livemode: false });
    pass(400);
    const digest = Buffer.from(digestOf(key), "latin1");
    expect(cache.takeUses(1_000)).toEqual([{ digest, ageMs: 400, acceptedCount: 3 }]);
    expect(cache.takeUses(1_000)).toEqual([]);
  });

  it("of many keys are reported in parts", () => {
    fill(key);
    fill(other);
    expect([cache.takeUses(1).length, cache.usedKeys, cache.takeUses(1).length]).toEqual([1, 1, 1]);
  });
});
