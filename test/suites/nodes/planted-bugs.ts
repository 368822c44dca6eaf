import type { GatewayKind } from "../freshness/programs.ts";
import type { Edit } from "../support/planted-copy.ts";
import type { NodeScenarioName } from "./scenarios.ts";

/** A rule that is taken away, where it stands in the source, and where that can show. */
export type PlantedBug = {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly gateways: readonly GatewayKind[];
  readonly scenarios: readonly NodeScenarioName[];
};

const node = "src/stores/postgres/serving/node.ts";
const rules = "src/stores/postgres/serving/node-rules.ts";
const rows = "src/stores/postgres/serving/node-rows.ts";
const lease = "src/stores/postgres/serving/node-lease.ts";
const changes = "src/stores/postgres/serving/changes.ts";
const session = "src/stores/postgres/session.ts";

/** Not a bug: a poll may take as long as it likes. */
const latePolls: readonly Edit[] = [
  {
    file: node,
    from: "setInterval(() => void this.#poll(), pollEveryMs)",
    to: "setInterval(() => void this.#poll(), 500 * pollEveryMs)",
  },
  { file: node, from: "    void this.#poll();\n    void this.#look();", to: "    void this.#look();" },
];

/** Not a bug either: while a node is not known, and for a while after, it hears of nothing. */
const lateRegistration: readonly Edit[] = [
  {
    file: node,
    from: "const made = await this.#ask(session, insertNode,",
    to: `const isAgain = this.polls > 0;
    if (isAgain) {
      await pause(600);
    }
    const made = await this.#ask(session, insertNode,`,
  },
  {
    file: node,
    from: "    if (made !== null) {\n",
    to: `    if (made !== null && isAgain) {
      this.#isPolling = true;
      setTimeout(() => {
        this.#isPolling = false;
      }, 1500);
    }
    if (made !== null) {
`,
  },
  {
    file: node,
    from: "if (session === null || this.#isPolling) {",
    to: "if (session === null || this.#isPolling || (this.polls > 0 && this.#rules.mustRegister())) {",
  },
];

const nodeIsSilent = ["a node's link to the database is stopped", "a node is cut off from the database"] as const;
const gatewayIsSilent = ["messages are late both ways", "a link is stopped"] as const;

/** The rules are those of ARCHITECTURE.md, by their names. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "N1: a lease is counted from its answer",
    edits: [
      {
        file: rules,
        from: "lease.renewed(renewal.sent, row.head);",
        to: "lease.renewed(lease.moment(), row.head);",
      },
    ],
    gateways: ["go"],
    scenarios: ["renewals come late, and then nothing"],
  },
  {
    name: "N2: a read renews a lease",
    edits: [
      {
        file: node,
        from: `UPDATE token_authority.node SET renewals = renewals + 1, acked_revision = greatest(acked_revision, $2),
        watchers = $3, silent = $4
      WHERE id = $1 AND (`,
        to: `SELECT 1 FROM token_authority.node
      WHERE id = $1 AND ($2::bigint, $3::bigint, $4::text) IS NOT NULL AND (`,
      },
      { file: node, from: "      RETURNING 1)", to: "      )" },
    ],
    gateways: ["go"],
    scenarios: ["the standby takes over, and one node sees the old primary alone"],
  },
  {
    name: "N3: a renewal counts before what it told of is applied",
    edits: [...latePolls, { file: lease, from: "if (head > appliedRevision) {", to: "if (head < 0) {" }],
    gateways: ["go"],
    scenarios: ["nothing fails"],
  },
  {
    // Each of the two is enough by itself: what was remembered is forgotten, and the lease waits for a renewal.
    name: "N4: a row that is made gives a lease, over what was remembered",
    edits: [
      ...lateRegistration,
      {
        file: rules,
        from: "        lease.end();\n        forgetAll();\n        return;",
        to: "        lease.end();\n        return;",
      },
      {
        file: rules,
        from: "      rowId = id;\n      lease.end();",
        to: "      rowId = id;\n      lease.renewed(lease.moment(), recent.head().revision);",
      },
    ],
    gateways: ["go", "go", "typescript", "typescript"],
    scenarios: ["a node is stopped until it is forgotten"],
  },
  {
    name: "N5: what is in memory needs no lease",
    edits: [
      {
        file: rules,
        from: "mark.signal === signal && (lease.isHeld() || isInGrace())",
        to: "mark.signal === signal && refusal === null",
      },
    ],
    gateways: ["go"],
    scenarios: ["a node's link to the database is stopped"],
  },
  {
    name: "N6: a node acknowledges for gateways that did not",
    edits: [
      {
        file: rules,
        from: "return report === null ? applied : Math.min(applied, report.settledRevision);",
        to: "return applied;",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: gatewayIsSilent,
  },
  {
    name: "N6: a node acknowledges what it has not applied",
    edits: [
      ...latePolls,
      {
        file: rules,
        from: "const acknowledges = mustStart ? 0 : ackable();",
        to: "const acknowledges = mustStart ? 0 : Math.max(newestHead, ackable());",
      },
    ],
    gateways: ["go"],
    scenarios: ["nothing fails"],
  },
  {
    name: "N7: a revocation waits for a tenth of a second at the most",
    edits: [
      {
        file: rows,
        from: "monotonicMs() + settleMs",
        to: "monotonicMs() + settleMs / 30",
      },
    ],
    gateways: ["go"],
    scenarios: nodeIsSilent,
  },
  {
    name: "N8: a node is forgotten before its lease is over",
    edits: [{ file: rows, from: ">= settleMs + row.grace_ms);", to: ">= 700 + row.grace_ms);" }],
    gateways: ["go"],
    scenarios: nodeIsSilent,
  },
  {
    name: "N9: another server's word counts at once",
    edits: [{ file: rules, from: "maySayAll: lease.isSeasoned", to: "maySayAll: () => true" }],
    gateways: ["go"],
    scenarios: ["the standby takes over without the row of a node"],
  },
  {
    name: "a COMMIT does not wait for the disk",
    edits: [
      {
        file: session,
        from: "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END",
        to: "'off'",
      },
      {
        file: "src/stores/postgres/schema.ts",
        from: 'if (synchronous_commit !== "on" &&',
        to: "if (!synchronous_commit &&",
      },
    ],
    gateways: ["go"],
    scenarios: ["PostgreSQL is killed"],
  },
  {
    name: "the warning of a COMMIT is not heeded, where a lease is renewed",
    edits: [{ file: node, from: "if (hasWarning) {", to: "if (hasWarning && values.length === 0) {" }],
    gateways: ["go"],
    scenarios: ["the standby takes over, and waits at the old primary are cancelled"],
  },
  {
    name: "the warning of a COMMIT is not heeded, where a change is answered",
    edits: [{ file: changes, from: 'if (tag !== "COMMIT" || hasWarning) {', to: 'if (tag !== "COMMIT") {' }],
    gateways: ["go"],
    scenarios: ["what waits for the standby is cancelled, and lost when the standby takes over"],
  },
  {
    name: "last uses are written in any order",
    edits: [
      {
        file: changes,
        from: "GROUP BY issue_revision ORDER BY issue_revision\n",
        to: "GROUP BY issue_revision ORDER BY random()\n",
      },
      // Not a bug: a row may take a while.
      {
        file: changes,
        from: "lastUsePrecisionMs}`",
        to: "lastUsePrecisionMs} RETURNING pg_sleep(0.15)`",
      },
    ],
    gateways: ["go", "typescript"],
    scenarios: ["nothing fails"],
  },
];
