import { describe, expect, it } from "vitest";
import type { TokenChange } from "../../src/authority/freshness.ts";
import { graceMs, leaseMs } from "../../src/authority/lease.ts";
import { createWatchers, type Watcher } from "../../src/authority/watchers.ts";

/** Watchers with a clock that is moved by hand, told of one change after another. */
function openWatchers() {
  const clock = { nowMs: 1000 };
  const watchers = createWatchers(
    () => clock.nowMs,
    () => 1_700_000_000_000 + clock.nowMs,
  );
  const hashOf = (revision: number) => Buffer.alloc(32, revision);
  watchers.restart(0, hashOf(0));
  return {
    ...watchers,
    clock,
    revoke(revision: number, digests: readonly Uint8Array[] = [Buffer.alloc(32, revision)]) {
      watchers.advance([change(revision, { digests })], revision, hashOf(revision));
    },
    /** More than can be told. */
    lose(revision: number) {
      watchers.advance(null, revision, hashOf(revision));
    },
    create(revision: number) {
      watchers.advance([change(revision, { action: "create" })], revision, hashOf(revision));
    },
    settled: () => watchers.report().report?.settledRevision ?? null,
    silent: () => watchers.report().wentSilent.map(({ identity }) => identity),
  };
}

function change(revision: number, facts: Partial<TokenChange> = {}): TokenChange {
  return {
    revision,
    action: "revoke",
    digests: [Buffer.alloc(32, revision)],
    tokenId: `tok_${revision}`,
    account: null,
    ...facts,
  };
}

/** All that there is to tell. */
function tell(watcher: Watcher): string[] {
  const told: string[] = [];
  for (let event = watcher.next(); event !== null; event = watcher.next()) {
    told.push(`${event.kind} ${event.revision}`);
  }
  return told;
}

describe("W2: a lease", () => {
  it("lasts as long as it was granted for, and is waited out for the grace more", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watcher.grant(1, leaseMs);
    expect(watcher.next()).toMatchObject({ kind: "lease", sequence: 1, durationMs: leaseMs });
    watchers.revoke(1);
    watchers.clock.nowMs += leaseMs + graceMs - 1;
    expect(watchers.settled()).toBe(0);
    watchers.clock.nowMs += 1;
    expect(watchers.settled()).not.toBe(0);
    expect(watchers.settled()).toBeNull();
  });

  it("ends no sooner for a shorter one that is granted after it", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watcher.grant(1, leaseMs);
    watcher.grant(2, 1);
    watchers.revoke(1);
    watchers.clock.nowMs += leaseMs + graceMs - 1;
    expect(watchers.settled()).toBe(0);
  });

  it("is granted to one, whatever another has not acknowledged", () => {
    const watchers = openWatchers();
    const [slow, well] = [watchers.resume("slow", 0), watchers.resume("well", 0)];
    slow.grant(1, leaseMs);
    watchers.revoke(1);
    expect(tell(well)).toEqual(["forget 1"]);
    well.acknowledge(1);
    expect([slow.grant(2, leaseMs), well.grant(1, leaseMs)]).toEqual([false, true]);
  });

  it("outlives its stream", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watcher.grant(1, leaseMs);
    watcher.leave();
    expect(watcher.next()).toBeNull();
    watchers.revoke(1);
    expect(watchers.settled()).toBe(0);
    watchers.clock.nowMs += leaseMs + graceMs;
    watchers.report();
    expect([watchers.settled(), watchers.size()]).toEqual([null, 0]);
  });

  it("is over at once where it is released", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watcher.grant(1, leaseMs);
    watchers.revoke(1);
    watcher.release();
    watcher.leave();
    expect([watchers.settled(), watchers.size()]).toEqual([null, 0]);
  });
});

describe("W3: before a lease", () => {
  it("everything up to its revision was told, in the order of the journal", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    for (const revision of [1, 2, 4]) {
      watchers.revoke(revision);
    }
    watchers.create(5);
    expect(tell(watcher)).toEqual(["forget 1", "forget 2", "forget 4"]);
    watcher.acknowledge(4);
    expect(watcher.grant(1, leaseMs)).toBe(true);
    // What comes once it is granted is told after it.
    watchers.revoke(6);
    expect(tell(watcher)).toEqual(["lease 5", "forget 6"]);
  });

  it("its revision is the newest that there is, and its hash is that one's", () => {
    const watchers = openWatchers();
    watchers.create(3);
    const watcher = watchers.resume("a", 3);
    watcher.grant(1, leaseMs);
    expect(watcher.next()).toEqual({
      kind: "lease",
      sequence: 1,
      durationMs: leaseMs,
      revision: 3,
      hash: Buffer.alloc(32, 3),
    });
  });
});

describe("W4: no lease is granted", () => {
  it("to who has not acknowledged all that there is to tell, told or not", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watchers.revoke(1);
    watchers.revoke(2);
    expect(watcher.grant(1, leaseMs)).toBe(false);
    tell(watcher);
    watcher.acknowledge(1);
    expect(watcher.grant(2, leaseMs)).toBe(false);
    watcher.acknowledge(2);
    expect(watcher.grant(3, leaseMs)).toBe(true);
  });

  it("to who has acknowledged one key of a token and was not told of the other yet", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watchers.revoke(1, [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]);
    expect(watcher.next()).toMatchObject({ revision: 1, hasMore: true });
    watcher.acknowledge(1);
    expect(watcher.grant(1, leaseMs)).toBe(false);
    expect(watcher.next()).toMatchObject({ revision: 1, hasMore: false });
    watcher.acknowledge(1);
    expect(watcher.grant(2, leaseMs)).toBe(true);
  });
});

describe("what is settled", () => {
  it("is what each holder of a lease has acknowledged; creations need no word of theirs", () => {
    const watchers = openWatchers();
    const [one, other] = [watchers.resume("a", 0), watchers.resume("b", 0)];
    one.grant(1, leaseMs);
    other.grant(1, leaseMs);
    watchers.create(1);
    expect(watchers.settled()).toBe(1);
    watchers.revoke(2);
    watchers.revoke(3);
    expect(watchers.settled()).toBe(1);
    for (const watcher of [one, other]) {
      tell(watcher);
      watcher.acknowledge(2);
    }
    expect(watchers.settled()).toBe(2);
    one.acknowledge(3);
    expect(watchers.settled()).toBe(2);
    other.acknowledge(3);
    expect(watchers.report().report).toEqual({ settledRevision: 3, holders: 2, silent: [] });
  });

  it("is all where nobody holds a lease", () => {
    const watchers = openWatchers();
    watchers.resume("a", 0);
    watchers.revoke(1);
    expect(watchers.settled()).toBeNull();
  });

  it("names who is silent once, when its lease is over by its own time, and once more when it was waited out", () => {
    const watchers = openWatchers();
    watchers.resume("a", 0).grant(1, leaseMs);
    watchers.revoke(1);
    expect(watchers.nextEndMs()).toBe(watchers.clock.nowMs + leaseMs);
    watchers.clock.nowMs += leaseMs - 1;
    expect(watchers.silent()).toEqual([]);
    watchers.clock.nowMs += 1;
    expect(watchers.silent()).toEqual(["a"]);
    expect(watchers.silent()).toEqual([]);
    expect(watchers.nextEndMs()).toBe(watchers.clock.nowMs + graceMs);
    watchers.clock.nowMs += graceMs;
    const { report, wentSilent } = watchers.report();
    expect(report?.silent).toMatchObject([{ kind: "gateway", identity: "a" }]);
    expect(wentSilent).toEqual([]);
  });

  it("names nobody whose lease was over before the change", () => {
    const watchers = openWatchers();
    watchers.resume("a", 0).grant(1, leaseMs);
    watchers.clock.nowMs += leaseMs + graceMs;
    watchers.revoke(1);
    expect(watchers.report()).toEqual({ report: null, wentSilent: [] });
  });
});

describe("who falls behind", () => {
  it("costs no more than others, and must forget everything once 10 000 are to be told", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watcher.grant(1, leaseMs);
    for (let revision = 1; revision <= 10_000; revision += 1) {
      watchers.revoke(revision);
    }
    const slow = watchers.resume("b", 0);
    expect(slow.next()).toMatchObject({ kind: "forget", revision: 1 });
    watchers.revoke(10_001);
    expect(watcher.next()).toMatchObject({ kind: "lease" });
    expect(watcher.next()).toMatchObject({ kind: "reset", reason: "TOO_FAR_BEHIND", revision: 10_001 });
    expect(slow.next()).toMatchObject({ kind: "reset", reason: "TOO_FAR_BEHIND", revision: 10_001 });
    expect([watcher.next(), slow.next()]).toEqual([null, null]);
    // Until it has acknowledged that.
    expect(watchers.settled()).toBe(0);
    watcher.acknowledge(10_000);
    expect([watchers.settled(), watcher.grant(2, leaseMs)]).toEqual([0, false]);
    watcher.acknowledge(10_001);
    expect([watchers.settled(), watcher.grant(2, leaseMs)]).toEqual([10_001, true]);
  });

  it("is not settled with changes that are too many to be told, until it has forgotten everything", () => {
    const watchers = openWatchers();
    const watcher = watchers.resume("a", 0);
    watcher.grant(1, leaseMs);
    watchers.create(5);
    watchers.lose(20_000);
    expect(watchers.settled()).toBe(5);
    expect(tell(watcher)).toEqual(["lease 0", "reset 20000"]);
    watcher.acknowledge(20_000);
    expect(watchers.settled()).toBe(20_000);
  });

  it("is told of older changes that were read for it, and others are not", () => {
    const watchers = openWatchers();
    watchers.restart(10, Buffer.alloc(32));
    const other = watchers.resume("b", 10);
    watchers.revoke(11);
    watchers.remember([change(8), change(9, { action: "create" }), change(10), change(11)], 7);
    const late = watchers.resume("a", 8);
    expect([tell(other), tell(late)]).toEqual([["forget 11"], ["forget 10", "forget 11"]]);
  });
});

it("tells people who watches, what each knows, and how it is", () => {
  const watchers = openWatchers();
  const a = watchers.resume("a", 0);
  const b = watchers.resume("b", 0);
  watchers.resume("c", 0);
  a.grant(1, leaseMs);
  b.grant(1, leaseMs);
  watchers.revoke(1);
  expect(tell(b)).toEqual(["lease 0", "forget 1"]);
  b.acknowledge(1);
  b.leave();
  const short = () => watchers.states(10).map(({ identity, state, acknowledged }) => [identity, state, acknowledged]);
  expect(short()).toEqual([
    ["a", "holds a lease", 0],
    ["c", "waiting", 0],
    ["b", "gone", 1],
  ]);
  watchers.clock.nowMs += leaseMs;
  watchers.silent();
  expect(short()[0]).toEqual(["a", "silent", 0]);
  expect(watchers.states(1)).toHaveLength(1);
});
