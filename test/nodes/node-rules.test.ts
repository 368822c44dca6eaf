import { describe, expect, it } from "vitest";
import type { Settlement } from "../../src/authority/freshness.ts";
import { emptyHead } from "../../src/authority/journal.ts";
import { leaseMs, settleMs } from "../../src/authority/lease.ts";
import type { NodeRow } from "../../src/stores/postgres/serving/node-rows.ts";
import {
  type ChangeRow,
  createNodeRules,
  type Renewal,
  type RenewalRow,
} from "../../src/stores/postgres/serving/node-rules.ts";

const renewEveryMs = 500;
const startMs = Date.UTC(2026, 10, 28);

/** A node whose clocks and database are the test's. */
function nodeAt(options: { readonly graceMs?: number; readonly schemaVersion?: number } = {}) {
  const clocks = { monotonicMs: 1000, wallMs: startMs };
  const logged: string[] = [];
  const note = (_fields: object, message: string) => void logged.push(message);
  const rules = createNodeRules({
    name: "node 1",
    schemaVersion: options.schemaVersion ?? 1,
    graceMs: options.graceMs ?? 0,
    log: { info: note, warn: note, error: note },
    monotonicMs: () => clocks.monotonicMs,
    wallMs: () => clocks.wallMs,
  });

  function advance(ms: number): void {
    clocks.monotonicMs += ms;
    clocks.wallMs += ms;
  }

  function answer(renewal: Renewal, row: Partial<RenewalRow> = {}): void {
    rules.renewed(renewal, {
      written: 1,
      head: renewal.knownRevision,
      known_hash: renewal.knownRevision === 0 ? null : hashOf(renewal.knownRevision),
      authority_id: "authority",
      era: 1,
      oldest_version: 1,
      database_ms: clocks.wallMs,
      is_synchronous: false,
      ...row,
    });
  }

  function sent(): Renewal {
    const renewal = rules.renewal();
    if (renewal === null) {
      throw new Error("the node has no row to renew");
    }
    return renewal;
  }

  /** Renews, with everything acknowledged at once. */
  function renew(row: Partial<RenewalRow> = {}): void {
    rules.tick();
    answer(sent(), row);
  }

  /** As a fleet of one, for this long: with a lease all the time. */
  function liveFor(ms: number): void {
    for (let lived = 0; lived < ms; lived += renewEveryMs) {
      renew();
      advance(renewEveryMs);
    }
    renew();
  }

  function take(...revisions: readonly number[]): void {
    const { knownRevision, generation } = rules.poll();
    rules.take(revisions.map((revision) => changeRow(revision, { known_revision: knownRevision, generation })));
  }

  function look(...rows: readonly Partial<NodeRow>[]) {
    const asked = rules.look();
    return rules.looked(asked, [nodeRow({ id: rules.rowId() ?? "", acked_revision: 1000 }), ...rows.map(nodeRow)]);
  }

  /** What became of a change, once it is settled. */
  function settle(revision: number): { settlement: Settlement | null } {
    const settled: { settlement: Settlement | null } = { settlement: null };
    rules.wait(revision, (settlement) => {
      settled.settlement = settlement;
    });
    return settled;
  }

  return { rules, clocks, logged, advance, answer, sent, renew, liveFor, take, look, settle };
}

/** With a row, an empty journal and no lease. */
function registeredNode(options: Parameters<typeof nodeAt>[0] = {}) {
  const node = nodeAt(options);
  node.rules.registered("row 1");
  node.rules.start([]);
  return node;
}

function hashOf(revision: number): Uint8Array {
  return Buffer.alloc(32, revision % 251);
}

function changeRow(revision: number, facts: Partial<ChangeRow> = {}): ChangeRow {
  const known = facts.known_revision ?? 0;
  return {
    revision,
    at_ms: startMs,
    action: "revoke",
    hash: hashOf(revision),
    account: null,
    token_id: "tok_1",
    digests: [Buffer.alloc(32, 7)],
    known_revision: known,
    known_hash: known === 0 ? null : hashOf(known),
    generation: 1,
    ...facts,
  };
}

function nodeRow(facts: Partial<NodeRow>): NodeRow {
  return { id: "row 2", name: "node 2", grace_ms: 0, renewals: 1, acked_revision: 0, holders: 0, silent: [], ...facts };
}

describe("the lease of a node", () => {
  it("runs from before the renewal was sent, on both clocks", () => {
    const { rules, advance, answer, sent, clocks } = registeredNode();
    const renewal = sent();
    advance(700);
    answer(renewal);
    expect(rules.leftMs()).toBe(leaseMs - 700);
    advance(leaseMs - 701);
    expect(rules.isHeld()).toBe(true);
    advance(1);
    expect(rules.isHeld()).toBe(false);
    answer(sent());
    clocks.wallMs += 251;
    expect([rules.isHeld(), rules.leftMs()]).toEqual([false, 0]);
    clocks.wallMs -= 251;
    expect(rules.isHeld()).toBe(false);
  });

  it("comes with no row and no insertion, but with a renewal that has written the row", () => {
    const { rules, answer, sent } = nodeAt();
    expect(rules.renewal()).toBeNull();
    rules.registered("row 1");
    rules.start([]);
    expect(rules.isHeld()).toBe(false);
    answer(sent(), { written: 0 });
    expect([rules.isHeld(), rules.mustRegister()]).toEqual([false, true]);
    rules.registered("row 2");
    answer(sent());
    expect(rules.isHeld()).toBe(true);
  });

  it("counts only once every change is applied that was there at the renewal", () => {
    const { rules, renew, take, advance } = registeredNode();
    renew({ head: 2 });
    expect(rules.isHeld()).toBe(false);
    take(1);
    expect(rules.isHeld()).toBe(false);
    advance(500);
    take(2);
    expect(rules.leftMs()).toBe(leaseMs - 500);
  });

  it("is over with its row, and what was remembered is to be forgotten", () => {
    const { rules, renew, take, answer, sent } = registeredNode();
    take(1);
    renew();
    const mark = rules.mark();
    const old = sent();
    renew({ written: 0 });
    expect([rules.isFresh(mark), rules.mustRegister()]).toEqual([false, true]);
    expect(rules.changesSince(mark, 10).changes).toBeNull();
    rules.registered("row 2");
    answer(old);
    expect(rules.isHeld()).toBe(false);
  });
});

describe("what a node decides from", () => {
  it("is fresh with a lease and no change since, and never otherwise", () => {
    const { rules, renew, take, advance } = registeredNode();
    const before = rules.mark();
    expect(rules.isFresh(before)).toBe(false);
    renew();
    expect(rules.isFresh(before)).toBe(true);
    take(1);
    expect([rules.isFresh(before), rules.isFresh(rules.mark())]).toEqual([false, true]);
    advance(leaseMs);
    expect(rules.isFresh(rules.mark())).toBe(false);
  });

  it("is everything to be forgotten where more has changed than a poll brings, and goes on from the newest", () => {
    const { rules, renew, take } = registeredNode();
    take(1);
    const mark = rules.mark();
    take(500, 501, 502);
    renew({ head: 502 });
    expect(rules.changesSince(mark, 10_000)).toMatchObject({ changes: null, mark: { revision: 502 } });
    expect(rules.isFresh(rules.mark())).toBe(true);
    take(503);
    expect(rules.head()).toEqual({ revision: 503, atMs: startMs, hash: hashOf(503) });
  });
});

describe("what a node acknowledges", () => {
  it("is what it has applied and the holders of its leases know of", () => {
    const { rules, take, sent, answer } = registeredNode();
    take(1, 2, 3);
    expect([rules.hasNews(), sent().acknowledges]).toEqual([true, 3]);
    rules.report({ settledRevision: 3, holders: 2, silent: [] });
    take(4, 5);
    expect(sent()).toMatchObject({ acknowledges: 3, holders: 2 });
    expect(rules.hasNews()).toBe(false);
    rules.report({ settledRevision: 4, holders: 2, silent: [] });
    expect(rules.hasNews()).toBe(true);
    const renewal = sent();
    expect(renewal.acknowledges).toBe(4);
    answer(renewal, { head: 5 });
    expect(rules.readings()).toMatchObject({ acknowledgedRevision: 4, appliedRevision: 5 });
    rules.report(null);
    expect(sent().acknowledges).toBe(5);
  });
});

describe("a change", () => {
  it("is settled when every row has acknowledged it, in a look that was asked after it", () => {
    const { rules, liveFor, take, settle, look } = registeredNode();
    liveFor(settleMs);
    take(1);
    const early = rules.look();
    const settled = settle(1);
    rules.looked(early, [nodeRow({ id: "row 1", acked_revision: 1 })]);
    expect(settled.settlement).toBeNull();
    look({ acked_revision: 0 });
    expect(settled.settlement).toBeNull();
    look({ acked_revision: 1, holders: 3 });
    expect(settled.settlement).toEqual({ acknowledged: 3, silent: [], unconfirmed: [] });
  });

  it("waits the bound where the node's own row is not there", () => {
    const { rules, liveFor, advance, settle } = registeredNode();
    liveFor(settleMs);
    const settled = settle(0);
    rules.looked(rules.look(), [nodeRow({})]);
    rules.looked(rules.look(), []);
    expect(settled.settlement).toBeNull();
    advance(settleMs);
    rules.answerWaitedOut();
    expect(settled.settlement).not.toBeNull();
  });

  it("waits the bound while the node has not held a lease for so long: after a start, a lapse and a new session", () => {
    const { rules, renew, advance, liveFor, look, settle } = registeredNode();
    renew();
    const lapses = [() => {}, () => advance(leaseMs), () => rules.reconnected()];
    for (const lapse of lapses) {
      lapse();
      renew();
      const settled = settle(0);
      look({});
      expect(settled.settlement).toBeNull();
      liveFor(settleMs - renewEveryMs);
      look({});
      expect(settled.settlement).toBeNull();
      liveFor(renewEveryMs);
      look({});
      expect(settled.settlement).not.toBeNull();
    }
  });

  it("is settled at the bound whatever the rows say, and names who was silent since", () => {
    const { rules, liveFor, take, settle, look, advance } = registeredNode();
    liveFor(settleMs);
    take(1);
    const settled = settle(1);
    const before = { identity: "earlier", heardAtMs: 1, number: 1 };
    look({ silent: [before] }, { id: "row 3", name: "node 3" });
    look(
      { silent: [{ identity: "gateway", heardAtMs: 2, number: 2 }, before], acked_revision: 0 },
      { id: "row 3", name: "node 3" },
    );
    advance(settleMs - 1);
    rules.answerWaitedOut();
    expect(settled.settlement).toBeNull();
    advance(1);
    rules.answerWaitedOut();
    expect(settled.settlement).toEqual({
      acknowledged: 0,
      silent: [
        { kind: "gateway", identity: "gateway", heardAtMs: 2 },
        { kind: "node", identity: "node 3", heardAtMs: null },
      ],
      unconfirmed: [],
    });
  });

  it("names a node whose row was dropped before it knew of the change, and none that has left", () => {
    const { settle, look, liveFor, advance, renew } = registeredNode();
    liveFor(settleMs);
    const [dead, left, there] = [
      { id: "row 2", name: "node 2" },
      { id: "row 3", name: "node 3" },
      { id: "row 4", name: "node 4", acked_revision: 1000 },
    ];
    look(dead, left, there);
    advance(leaseMs - 1);
    renew();
    const settled = settle(5);
    look(dead, { ...left, renewals: 2 }, there);
    advance(1);
    look(there);
    expect(settled.settlement).toEqual({
      acknowledged: 0,
      silent: [{ kind: "node", identity: "node 2", heardAtMs: null }],
      unconfirmed: [],
    });
  });
});

describe("a row", () => {
  it("may be dropped by who has seen it for as long as a lease and the grace without a renewal", () => {
    const { look, advance } = registeredNode();
    expect(look({ renewals: 1 })).toEqual([]);
    advance(settleMs - 1);
    expect(look({ renewals: 2 })).toEqual([]);
    advance(settleMs - 1);
    expect(look({ renewals: 2 })).toEqual([]);
    advance(1);
    expect(look({ renewals: 2 })).toMatchObject([{ id: "row 2", renewals: 2 }]);
  });

  it("stays for as long as its node may decide from memory by its grace, and is unconfirmed meanwhile", () => {
    const { rules, clocks, liveFor, settle, look, advance, take } = registeredNode();
    liveFor(settleMs);
    take(1);
    const settled = settle(1);
    look({ grace_ms: 10_000 });
    advance(settleMs);
    expect(look({ grace_ms: 10_000 })).toEqual([]);
    rules.answerWaitedOut();
    expect(settled.settlement).toEqual({
      acknowledged: 0,
      silent: [],
      unconfirmed: [{ kind: "node", identity: "node 2", heardAtMs: null, untilMs: clocks.wallMs + 10_000 }],
    });
    advance(10_000);
    expect(look({ grace_ms: 10_000 })).toHaveLength(1);
  });
});

describe("with a grace", () => {
  it("memory lives on when renewals are not answered, until it is over, and not through a stop of the process", () => {
    const { rules, liveFor, advance } = registeredNode({ graceMs: 5000 });
    liveFor(1000);
    const mark = rules.mark();
    advance(leaseMs);
    rules.tick();
    expect(rules.isFresh(mark)).toBe(false);
    for (let missed = 0; missed < 3; missed += 1) {
      rules.tick();
    }
    expect([rules.isFresh(mark), rules.isInGrace(), rules.isHeld(), rules.leftMs()]).toEqual([true, true, false, 0]);
    advance(4999);
    expect(rules.isFresh(mark)).toBe(true);
    advance(1);
    expect(rules.isFresh(mark)).toBe(false);
  });

  it("memory does not live on by clocks that moved apart, before the grace or in it, nor after a row that is gone", () => {
    for (const end of ["clocks", "clocks in the grace", "row"] as const) {
      const { rules, clocks, renew, liveFor, advance } = registeredNode({ graceMs: 5000 });
      liveFor(1000);
      if (end === "row") {
        renew({ written: 0 });
      } else if (end === "clocks in the grace") {
        advance(leaseMs);
        clocks.wallMs += 3_600_000;
      } else {
        clocks.wallMs += 1000;
        expect(rules.isHeld()).toBe(false);
      }
      for (let missed = 0; missed < 5; missed += 1) {
        rules.tick();
      }
      advance(100);
      expect(rules.isFresh(rules.mark())).toBe(false);
    }
  });
});

describe("a grace", () => {
  const inIt = "this node is in its grace: memory decides without the database";
  const over = "the grace of this node is over: nothing is decided until its lease is renewed";

  it.each([
    ["that ends with a renewal is told of once", 2000, [inIt]],
    ["that is over before is told of once more", 6000, [inIt, over]],
  ])("%s", (_, outageMs, expected) => {
    const { rules, logged, liveFor, advance } = registeredNode({ graceMs: 5000 });
    liveFor(1000);
    for (let passedMs = 0; passedMs < leaseMs + outageMs; passedMs += renewEveryMs) {
      rules.tick();
      advance(renewEveryMs);
    }
    liveFor(5000);
    expect(logged.filter((message) => message.includes("grace"))).toEqual(expected);
  });

  it.each([
    ["a stop", ({ rules }: ReturnType<typeof registeredNode>) => rules.close()],
    ["a journal that went back", ({ renew }: ReturnType<typeof registeredNode>) => renew({ era: 0 })],
  ])("that %s ends promises no renewal", (_, endGrace) => {
    const node = registeredNode({ graceMs: 5000 });
    node.liveFor(1000);
    for (let passedMs = 0; passedMs < leaseMs + 2000; passedMs += renewEveryMs) {
      node.rules.tick();
      node.advance(renewEveryMs);
    }
    expect(node.logged).toContain(inIt);
    endGrace(node);
    node.rules.tick();
    expect(node.logged).not.toContain(over);
  });
});

describe("a journal that went back", () => {
  it.each([
    ["lacks the newest change that was applied", { known_hash: null, written: 0 }],
    ["has another one in its place", { known_hash: hashOf(9), written: 0 }],
    ["is of an earlier era", { era: 0 }],
    ["is another authority's", { authority_id: "another" }],
  ])("serves nothing where it %s, however often it is asked", (_, row) => {
    const { rules, logged, renew, take } = registeredNode();
    take(1, 2);
    renew();
    const mark = rules.mark();
    renew(row);
    expect(rules.refusal()).toBe("JOURNAL_WENT_BACK");
    expect(logged).toHaveLength(1);
    rules.reconnected();
    renew();
    take(3);
    expect([rules.isHeld(), rules.isFresh(mark), rules.isFresh(rules.mark())]).toEqual([false, false, false]);
    expect(() => rules.requireServing()).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
    expect(() => rules.changesSince(mark, 10)).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
  });

  it("is noticed by a poll before the renewal: the next changes follow upon another one", () => {
    const { rules, take } = registeredNode();
    take(1, 2);
    const { generation } = rules.poll();
    rules.take([changeRow(3, { known_revision: 2, known_hash: hashOf(9), generation })]);
    expect([rules.refusal(), rules.head().revision]).toEqual(["JOURNAL_WENT_BACK", 2]);
  });

  it("is noticed by changes of which one in between is missing, followed from the last or from the newest", () => {
    for (const revisions of [
      [3, 5],
      [1003, 1005],
    ]) {
      const { rules, take } = registeredNode();
      take(1, 2);
      take(...revisions);
      expect([rules.refusal(), rules.head().revision]).toEqual(["JOURNAL_WENT_BACK", 2]);
    }
  });

  it("is renewed for, also by a node whose row was gone before: else it would never hear of a recovery", () => {
    const { rules, take, renew, answer, sent } = registeredNode();
    take(1, 2);
    renew({ written: 0 });
    const { generation } = rules.poll();
    rules.take([changeRow(3, { known_revision: 2, known_hash: hashOf(9), generation })]);
    expect([rules.refusal(), rules.mustRegister()]).toEqual(["JOURNAL_WENT_BACK", true]);
    rules.registered("row 2");
    answer(sent(), { era: 2, known_hash: hashOf(9), written: 0 });
    expect(rules.refusal()).toBeNull();
  });

  it("serves again in a later era, with nothing remembered", () => {
    const { rules, renew, take, answer, sent } = registeredNode();
    take(1, 2);
    renew();
    const mark = rules.mark();
    renew({ known_hash: null, written: 0 });
    const underWay = sent();
    renew({ era: 2, known_hash: null, written: 0 });
    expect([rules.refusal(), rules.mustStart()]).toEqual([null, true]);
    rules.start([changeRow(1, { generation: 0 })]);
    answer(underWay, { era: 2, known_hash: null, written: 0 });
    expect([rules.refusal(), rules.isHeld()]).toEqual([null, false]);
    renew({ era: 2 });
    expect(rules.head()).toMatchObject({ revision: 1 });
    expect([rules.isHeld(), rules.changesSince(mark, 10).changes]).toEqual([true, null]);
  });

  it("is not one where nothing was applied yet", () => {
    const { rules, renew } = registeredNode();
    expect(rules.head()).toEqual(emptyHead);
    renew();
    expect(rules.refusal()).toBeNull();
  });
});

describe("the clocks of a node and of its database", () => {
  it("are told of when they are more than 1 s apart, and end the lease from 5 s on, for as long as that is so", () => {
    const { rules, clocks, logged, renew } = registeredNode();
    renew({ database_ms: clocks.wallMs + 1000 });
    expect([rules.readings().clockApartMs, logged.length]).toEqual([-1000, 0]);
    renew({ database_ms: clocks.wallMs - 1001 });
    renew({ database_ms: clocks.wallMs - 5000 });
    expect([rules.readings().clockApartMs, logged.length, rules.isHeld()]).toEqual([5000, 1, true]);
    renew({ database_ms: clocks.wallMs - 5001 });
    expect([rules.refusal(), rules.isHeld()]).toEqual(["CLOCK_APART", false]);
    renew({ database_ms: clocks.wallMs });
    expect([rules.refusal(), rules.isHeld()]).toEqual([null, true]);
  });

  it("are not apart where the database read its clock while it was asked", () => {
    const { rules, clocks, advance, answer, sent } = registeredNode();
    const renewal = sent();
    const databaseMs = clocks.wallMs + 3000;
    advance(4000);
    answer(renewal, { database_ms: databaseMs });
    expect(rules.readings().clockApartMs).toBe(0);
  });
});

it("a release that the schema has left behind serves nothing", () => {
  const { rules, renew } = registeredNode({ schemaVersion: 1 });
  renew();
  renew({ oldest_version: 2 });
  expect([rules.refusal(), rules.isHeld()]).toEqual(["RELEASE_TOO_OLD", false]);
});

it("a release that the schema has left behind says so once, also where its clock is wrong", () => {
  const { renew, clocks, logged } = registeredNode({ schemaVersion: 1 });
  for (let renewals = 0; renewals < 3; renewals += 1) {
    renew({ oldest_version: 2, database_ms: clocks.wallMs - 60_000 });
  }
  expect(logged).toHaveLength(1);
});

it("a node that is closed decides nothing, and says for how long gateways may, also after its own lease has ended", () => {
  for (const jumpMs of [0, 1000]) {
    const { rules, renew, advance, clocks } = registeredNode();
    renew();
    rules.report({ settledRevision: 0, holders: 1, silent: [] });
    advance(100);
    clocks.wallMs += jumpMs;
    const mark = rules.mark();
    expect(rules.isFresh(mark)).toBe(jumpMs === 0);
    expect(rules.close()).toBe(leaseMs);
    expect([rules.isHeld(), rules.isFresh(mark), rules.renewal()]).toEqual([false, false, null]);
  }
});

it("renewals that counted for nothing while no change could be read are one lapse", () => {
  const { rules, renew, advance, take, liveFor } = registeredNode();
  liveFor(1000);
  for (let renewals = 0; renewals < 100; renewals += 1) {
    renew({ head: 1 });
    advance(renewEveryMs);
  }
  expect(rules.isHeld()).toBe(false);
  take(1);
  expect(rules.isHeld()).toBe(true);
  expect(rules.readings().lapses).toBe(1);
});

it("a lease that ran out is told of once, and once when it is renewed", () => {
  const node = registeredNode();
  node.renew();
  const told = () => node.logged.filter((message) => message.includes("the lease of this node"));
  node.advance(leaseMs + 1);
  node.rules.tick();
  node.advance(renewEveryMs);
  node.rules.tick();
  expect(told()).toEqual(["the lease of this node ran out: nothing is decided until it is renewed"]);
  node.renew();
  expect(told()).toHaveLength(2);
  node.liveFor(5000);
  expect(told()).toHaveLength(2);
});

describe("a row of the same name", () => {
  const isNamesake = (node: ReturnType<typeof registeredNode>) =>
    node.rules.rows().map((row) => node.rules.isNamesake(row));
  const said = "another process that is alive has the name of this node";

  it("that nobody renews is of a process that was killed", () => {
    const node = registeredNode();
    node.renew();
    const left = { id: "row 0", name: "node 1", renewals: 7 };
    for (let looks = 0; looks < 5; looks += 1) {
      node.look(left);
      node.advance(renewEveryMs);
    }
    expect(isNamesake(node)).toEqual([false, false]);
    expect(node.logged.join()).not.toContain(said);
  });

  it("that is renewed is of another process, and is told of once", () => {
    const node = registeredNode();
    node.renew();
    for (let renewals = 7; renewals < 12; renewals += 1) {
      node.look({ id: "row 0", name: "node 1", renewals }, { id: "row 2", name: "node 2", renewals });
      node.advance(renewEveryMs);
    }
    expect(isNamesake(node)).toEqual([false, true, false]);
    expect(node.logged.filter((message) => message.startsWith(said))).toHaveLength(1);
    node.advance(settleMs);
    expect(isNamesake(node)).toEqual([false, false, false]);
  });
});
