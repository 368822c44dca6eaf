import { hrefOf } from "./address.js";
import { h } from "./dom.js";
import { badge, distance, timeOf } from "./words.js";

/**
 * @typedef {object} ServiceState
 * @property {string} version
 * @property {number} uptimeMs
 * @property {string} host
 * @property {string} address
 * @property {number} threads
 * @property {boolean} isServing
 * @property {DiskState | null} disk
 * @property {NodesState | null} nodes
 * @property {readonly CertificateEnd[]} certificates
 * @property {readonly RefusedRow[]} refused
 * @property {number} revision
 * @property {readonly WatcherRow[]} watchers
 * @property {number} watcherCount
 */
/** @typedef {{ readonly identity: string, readonly state: "holds a lease" | "silent" | "waiting" | "gone", readonly acknowledged: number, readonly heardAtMs: number }} WatcherRow */
/** @typedef {{ readonly databaseBytes: number, readonly freeBytes: number, readonly minFreeBytes: number }} DiskState */
/** @typedef {{ readonly name: string, readonly isOwn: boolean, readonly isAlive: boolean, readonly acknowledgedRevision: number, readonly holders: number, readonly silent: readonly string[], readonly isNamesake: boolean }} NodeRow */
/** @typedef {{ readonly refusal: string | null, readonly inGrace: number, readonly isSynchronous: boolean | null, readonly clockApartMs: number | null, readonly count: number, readonly rows: readonly NodeRow[] }} NodesState */
/** @typedef {{ readonly of: "server" | "rest" | "caller", readonly caller: string | null, readonly endsAtMs: number }} CertificateEnd */
/** @typedef {{ readonly reason: string, readonly caller: string | null, readonly tokenId: string | null, readonly count: number, readonly lastMs: number }} RefusedRow */

const dayMs = 86_400_000;
const endsSoonMs = 14 * dayMs;

/**
 * Which server this is and how it is.
 *
 * @param {ServiceState} state
 */
export function stateParts(state) {
  const { version, uptimeMs, host, address, threads, isServing } = state;
  /** @type {readonly (readonly [string, import("./dom.js").Child])[]} */
  const facts = [
    [
      "Server",
      [
        h("span", { class: "mono" }, host),
        ", which serves calls at ",
        h("span", { class: "mono" }, address),
        threads > 1 && ` with ${threads} threads`,
      ],
    ],
    ["State", isServing ? badge("good", "●", "serving") : badge("bad", "✕", "not serving")],
    ["Version", h("span", { class: "mono" }, version)],
    [
      "Up since",
      [
        timeOf(new Date(Date.now() - uptimeMs).toISOString()),
        h("span", { class: "muted" }, `, ${distance(-uptimeMs)}`),
      ],
    ],
    ...(state.disk === null
      ? []
      : /** @type {const} */ ([
          ["Disk", diskParts(state.disk)],
          ["Database", inBytes(state.disk.databaseBytes)],
        ])),
    ...(state.nodes === null
      ? []
      : /** @type {const} */ ([
          ["Database", databaseParts(state.nodes)],
          ["Nodes", nodeParts(state.nodes, state.revision)],
        ])),
    ["Certificates", certificateParts(state.certificates)],
    [state.nodes === null ? "Caches" : "Caches, of this server", watcherParts(state)],
  ];
  return [
    h(
      "dl",
      null,
      facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
  ];
}

/** @param {DiskState} state */
function diskParts({ freeBytes, minFreeBytes }) {
  const rule = `with less than ${inBytes(minFreeBytes)} no tokens are created; revoking still works`;
  return freeBytes < minFreeBytes
    ? [badge("bad", "✕", `${inBytes(freeBytes)} free`), ` ${rule}. Make room.`]
    : [`${inBytes(freeBytes)} free; `, h("span", { class: "muted" }, rule)];
}

/**
 * The database that many machines serve, as this server knows it.
 *
 * @param {NodesState} nodes
 */
function databaseParts({ refusal, inGrace, isSynchronous, clockApartMs }) {
  const apart = Math.abs(clockApartMs ?? 0);
  return [
    h("p", null, [
      "PostgreSQL, which other machines serve too; ",
      isSynchronous === null
        ? h("span", { class: "muted" }, "it has not answered yet")
        : isSynchronous
          ? h("span", { class: "muted" }, "a change waits for a standby")
          : [
              badge("warn", "◔", "no standby is waited for"),
              h("span", { class: "muted" }, " after a failover, answered changes may be lost"),
            ],
    ]),
    refusal !== null &&
      h("p", null, badge("bad", "✕", refusal), ` ${refusals[refusal] ?? "This server serves nothing."}`),
    inGrace > 0 &&
      h(
        "p",
        null,
        badge("warn", "◔", "the database cannot be reached"),
        " This server decides from memory, by GRACE_MS: what is revoked elsewhere meanwhile is still accepted here, until that time is over.",
      ),
    apart > 1000 &&
      h(
        "p",
        null,
        badge("warn", "◔", `clocks differ by ${(apart / 1000).toFixed(1)} s`),
        " this machine's and the database's; from 5 s on nothing is served.",
      ),
  ];
}

/** @type {Readonly<Record<string, string>>} */
const refusals = {
  JOURNAL_WENT_BACK:
    "The database has lost changes that were answered: nothing is served until npm run recover has made them again.",
  CLOCK_APART: "Nothing is served: set this machine's clock or the database's right.",
  RELEASE_TOO_OLD: "Nothing is served: the database was migrated past this release. Start a newer one.",
};

/**
 * Every thread that serves the database, on whatever machine.
 *
 * @param {NodesState} nodes
 * @param {number} revision
 */
function nodeParts({ count, rows }, revision) {
  const alive = rows.filter(({ isAlive }) => isAlive).length;
  return [
    h(
      "p",
      null,
      alive === 0
        ? "No thread of any machine has renewed its lease lately: the database is not reached."
        : [
            `${count.toLocaleString("en")} ${count === 1 ? "thread serves" : "threads serve"} the database`,
            alive < rows.length && `, ${rows.length - alive} of them silent`,
            ".",
          ],
    ),
    h(
      "ul",
      { class: "plain scroll", tabindex: "0", "aria-label": "Nodes, this server's first, then those that know least" },
      rows.map(({ name, isOwn, isAlive, acknowledgedRevision, holders, silent, isNamesake }) =>
        h(
          "li",
          null,
          isAlive ? badge("good", "●", "alive") : badge("bad", "✕", "silent"),
          " ",
          h("span", { class: "mono breaks" }, name),
          isOwn && " (this server)",
          isNamesake && [" ", badge("bad", "✕", "two processes have this NODE_NAME")],
          h(
            "span",
            { class: "muted" },
            acknowledgedRevision >= revision
              ? `, acknowledged everything up to ${acknowledgedRevision}`
              : `, acknowledged everything up to ${acknowledgedRevision}, ${revision - acknowledgedRevision} behind`,
            holders > 0 && `, ${holders === 1 ? "1 gateway holds" : `${holders} gateways hold`} a lease of it`,
          ),
          silent.length > 0 && [
            "; silent in the last minute: ",
            h("span", { class: "mono breaks" }, silent.slice(0, maxSilentNamed).join(", ")),
            silent.length > maxSilentNamed && ` and ${silent.length - maxSilentNamed} more`,
          ],
        ),
      ),
    ),
  ];
}

const maxSilentNamed = 5;

/** @param {readonly CertificateEnd[]} certificates */
function certificateParts(certificates) {
  if (certificates.length === 0) {
    return "none: this server speaks plaintext, to this machine alone";
  }
  return h(
    "ul",
    { class: "plain scroll", tabindex: "0", "aria-label": "Certificates, the soonest end first" },
    certificates.map(({ of, caller, endsAtMs }) =>
      h(
        "li",
        null,
        endBadge(endsAtMs),
        " ",
        of === "caller"
          ? h("a", { class: "mono quiet", href: hrefOf("journal", { caller: caller ?? "" }) }, caller)
          : of === "rest"
            ? "this server, REST API"
            : "this server",
        h("span", { class: "muted" }, ", ", timeOf(new Date(endsAtMs).toISOString())),
      ),
    ),
  );
}

/**
 * Gateways that decide from memory, and what they know.
 *
 * @param {ServiceState} state
 */
function watcherParts({ watchers, watcherCount, revision }) {
  if (watchers.length === 0) {
    return h("span", { class: "muted" }, "no gateway decides from memory");
  }
  return [
    h("p", null, watcherCount === 1 ? "1 gateway watches." : `${watcherCount.toLocaleString("en")} gateways watch.`),
    h(
      "ul",
      { class: "plain scroll", tabindex: "0", "aria-label": "Gateways with a cache, those that know least first" },
      watchers.map(({ identity, state, acknowledged, heardAtMs }) =>
        h(
          "li",
          null,
          badge(toneOf[state], state === "holds a lease" ? "●" : state === "silent" ? "✕" : "◔", state),
          " ",
          h("span", { class: "mono breaks" }, identity),
          h(
            "span",
            { class: "muted" },
            acknowledged >= revision
              ? `, knows everything up to ${acknowledged}`
              : `, knows everything up to ${acknowledged}, ${revision - acknowledged} behind`,
            `, heard ${distance(heardAtMs - Date.now())}`,
          ),
        ),
      ),
    ),
  ];
}

const toneOf = /** @type {const} */ ({ "holds a lease": "good", waiting: "warn", gone: "warn", silent: "bad" });

/** @param {number} endsAtMs */
function endBadge(endsAtMs) {
  const leftMs = endsAtMs - Date.now();
  if (leftMs <= 0) {
    return badge("bad", "✕", `ended ${distance(leftMs)}`);
  }
  return leftMs < endsSoonMs
    ? badge("warn", "◔", `ends ${distance(leftMs)}`)
    : badge("good", "●", `ends ${distance(leftMs)}`);
}

/** @param {number} bytes */
function inBytes(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** power;
  return `${amount >= 10 || power === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`;
}
