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
 * @property {number} databaseBytes
 * @property {number} freeBytes
 * @property {number} minFreeBytes
 * @property {readonly CertificateEnd[]} certificates
 * @property {readonly RefusedRow[]} refused
 * @property {number} revision
 * @property {readonly WatcherRow[]} watchers
 * @property {number} watcherCount
 */
/** @typedef {{ readonly identity: string, readonly state: "holds a lease" | "silent" | "waiting" | "gone", readonly acknowledged: number, readonly heardAtMs: number }} WatcherRow */
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
    ["Disk", diskParts(state)],
    ["Database", inBytes(state.databaseBytes)],
    ["Certificates", certificateParts(state.certificates)],
    ["Caches", watcherParts(state)],
  ];
  return [
    h(
      "dl",
      null,
      facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
    ),
  ];
}

/** @param {ServiceState} state */
function diskParts({ freeBytes, minFreeBytes }) {
  const rule = `with less than ${inBytes(minFreeBytes)} no tokens are created; revoking still works`;
  return freeBytes < minFreeBytes
    ? [badge("bad", "✕", `${inBytes(freeBytes)} free`), ` ${rule}. Make room.`]
    : [`${inBytes(freeBytes)} free; `, h("span", { class: "muted" }, rule)];
}

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
