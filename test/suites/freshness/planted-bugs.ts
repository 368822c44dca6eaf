import type { Edit } from "../support/planted-copy.ts";
import type { GatewayKind } from "./programs.ts";
import type { ScenarioName } from "./scenarios.ts";

/** A rule that is taken away, where it stands in the source, and where that can show. */
export type PlantedBug = {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly gateways: readonly GatewayKind[];
  readonly scenarios: readonly ScenarioName[];
};

/** Not a bug: the network may do it. An answer is on its way for a while after it was decided. */
const lateAnswers: Edit = {
  file: "src/doors/rpc/lanes/authenticate-lane.ts",
  from: "    note(decision.outcome, call);\n    return request",
  to: `    note(decision.outcome, call);
    await new Promise((resolve) => setTimeout(resolve, 80 * Math.random()));
    return request`,
};

const keyIsNotBuried = {
  go: {
    file: "clients/go/cache_forgets.go",
    from: "revision >= f.latest(string(of[:])) &&",
    to: "true &&",
  },
  python: {
    file: "clients/python/src/casapay_token_authority/_forgets.py",
    from: "            and revision >= self._latest(digest)\n",
    to: "",
  },
  typescript: {
    file: "clients/typescript/src/cache/forgets.ts",
    from: "      revision >= this.#latest(digest) &&\n",
    to: "",
  },
} as const;

/** The rules are those of `test/model/rules.ts`, by their names. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "a cache of ten seconds",
    edits: [],
    gateways: ["typescript", "wrong"],
    scenarios: ["nothing fails"],
  },
  {
    name: "W1, Go: a lease is counted from its answer",
    edits: [
      {
        file: "clients/go/cache_watch_stream.go",
        from: "s.watch.cache.renew(asked, granted",
        to: "_ = asked\n\ts.watch.cache.renew(s.watch.cache.now(), granted",
      },
    ],
    gateways: ["go", "go"],
    scenarios: ["leases come late, and then nothing"],
  },
  {
    name: "W1, TypeScript: a lease is counted from its answer",
    edits: [
      {
        file: "clients/typescript/src/cache/watch-stream.ts",
        from: "cache.grant(asked, duration",
        to: "cache.grant(momentOf(this.#options.clocks), duration",
      },
    ],
    gateways: ["typescript", "typescript"],
    scenarios: ["leases come late, and then nothing"],
  },
  {
    name: "W1, Python: a lease is counted from its answer",
    edits: [
      {
        file: "clients/python/src/casapay_token_authority/_key_cache.py",
        from: "self._lease = lease_from(asked, seconds)",
        to: "self._lease = lease_from(self._clocks.now(), seconds)",
      },
    ],
    gateways: ["python", "python"],
    scenarios: ["leases come late, and then nothing"],
  },
  {
    name: "W2: leases are longer than revocations wait",
    edits: [
      {
        file: "src/authority/watching.ts",
        from: "watcher.grant(sequence, durationMs)",
        to: "watcher.grant(sequence, 3 * durationMs)",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["a link is stopped", "a link is killed, and comes back late"],
  },
  {
    name: "W3: leases overtake what was to be told before",
    edits: [
      {
        file: "src/authority/watchers.ts",
        from: "if (!state.isOpen || firstMissing(state) !== null) {",
        to: "if (!state.isOpen) {",
      },
      {
        file: "src/authority/watchers.ts",
        from: "state.lease ?? state.reset ?? forgetAt(state.nextPlace) ?? null;",
        to: "state.lease ?? state.reset ?? (monotonicMs() % 1200 < 100 ? forgetAt(state.nextPlace) : null) ?? null;",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["nothing fails"],
  },
  {
    name: "W4: what was told counts as acknowledged",
    edits: [
      {
        file: "src/authority/watching.ts",
        from: "stream.watcher.acknowledge(Math.min(request.appliedRevision, stream.watcher.told()));",
        to: "stream.watcher.acknowledge(stream.watcher.told());",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["leases come late, and then nothing", "messages are late both ways"],
  },
  {
    name: "C1, Go: an answer is kept after it was overruled",
    edits: [lateAnswers, keyIsNotBuried.go],
    gateways: ["go", "go"],
    scenarios: ["keys are first asked about while they are revoked"],
  },
  {
    name: "C1, Python: an answer is kept after it was overruled",
    edits: [lateAnswers, keyIsNotBuried.python],
    gateways: ["python", "python"],
    scenarios: ["keys are first asked about while they are revoked"],
  },
  {
    name: "C1, TypeScript: an answer is kept after it was overruled",
    edits: [lateAnswers, keyIsNotBuried.typescript],
    gateways: ["typescript", "typescript"],
    scenarios: ["keys are first asked about while they are revoked"],
  },
  {
    name: "C2, Go: a hit needs no lease",
    edits: [
      {
        file: "clients/go/cache_lease.go",
        from: "\tdefault:\n\t\treturn leaseOver\n",
        to: "\tdefault:\n\t\treturn leaseHeld\n",
      },
    ],
    gateways: ["go", "go"],
    scenarios: ["a link is stopped", "a link is killed, and comes back late"],
  },
  {
    name: "C2, Python: a hit needs no lease",
    edits: [
      {
        file: "clients/python/src/casapay_token_authority/_key_cache.py",
        from: "if not (now < until and wall < wall_until and least <= wall - now <= most):",
        to: "if not (0 < until and 0 < wall_until and least <= wall - now <= most):",
      },
    ],
    gateways: ["python", "python"],
    scenarios: ["a link is stopped", "a link is killed, and comes back late"],
  },
  {
    name: "C2, TypeScript: a hit needs no lease",
    edits: [
      {
        file: "clients/typescript/src/cache/lease.ts",
        from: 'wallMs < this.#wallUntilMs ? "held" : "over";',
        to: 'wallMs < this.#wallUntilMs ? "held" : "held";',
      },
    ],
    gateways: ["typescript", "typescript"],
    scenarios: ["a link is stopped", "a link is killed, and comes back late"],
  },
  {
    name: "R1: a revocation is answered once it is committed",
    edits: [
      {
        file: "src/stores/sqlite/serving/settle.ts",
        from: "if (!board.lags(revision)) {\n    return { acknowledged",
        to: "if (revision > 0) {\n    return { acknowledged",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["messages are late both ways", "a link is stopped"],
  },
  {
    name: "R2: a revocation waits for half a second at the most",
    edits: [
      {
        file: "src/stores/sqlite/serving/settle.ts",
        from: "const endMs = monotonicMs() + settleMs;",
        to: "const endMs = monotonicMs() + settleMs / 6;",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["a link is stopped", "a link is killed, and comes back late"],
  },
  {
    name: "S1: a lease is forgotten when its stream ends",
    edits: [
      {
        file: "src/authority/watchers.ts",
        from: "        if (!holdsLease(state, monotonicMs())) {\n          drop(state);\n        }\n      },\n      release() {",
        to: "        drop(state);\n      },\n      release() {",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["a link is killed, and comes back late"],
  },
  {
    name: "W4: who has room for nothing is not waited for",
    edits: [
      {
        file: "src/authority/watchers.ts",
        from: "return state.lostFrom ?? forgetAt(state.firstUnacked)?.revision ?? null;",
        to: "return state.lostFrom ?? (state.firstUnacked < state.nextPlace ? forgetAt(state.firstUnacked)?.revision : null) ?? null;",
      },
    ],
    gateways: ["typescript"],
    scenarios: ["a gateway takes nothing of what it is told"],
  },
  {
    name: "M1: a start after a crash waits for nobody",
    edits: [
      {
        file: "src/stores/sqlite/leases-file.ts",
        from: "return existsSync(file);",
        to: "return existsSync(file) && false;",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["the authority is killed while a link is stalled"],
  },
];
