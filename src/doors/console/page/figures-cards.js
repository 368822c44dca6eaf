import { h } from "./dom.js";
import { loaded } from "./load.js";
import { barPlot, linePlot } from "./plot.js";
import { reasonName, undecided } from "./refusals-view.js";
import { get } from "./rpc.js";
import { stateParts } from "./state-card.js";

/**
 * @typedef {object} Interval
 * @property {number} endMs
 * @property {readonly number[]} decided
 * @property {number} undecided
 * @property {Readonly<Record<string, number>>} refusals
 */
/** @typedef {{ readonly bucketsMs: readonly number[], readonly everyMs: number, readonly intervals: readonly Interval[], readonly isOneOfMany: boolean, readonly state: import("./state-card.js").ServiceState | null }} Figures */

const hourMs = 3_600_000;
const minuteMs = 60_000;
const minutes = 60;

const reasons = [
  "KEY_MALFORMED",
  "KEY_UNKNOWN",
  "TOKEN_REVOKED",
  "KEY_RETIRED",
  "TOKEN_EXPIRED",
  "TOKEN_HELD",
  "ACCOUNT_CLOSED",
  "ACCOUNT_HELD",
  "LIVEMODE_MISMATCH",
  "TYPE_NOT_ALLOWED",
  "INSUFFICIENT_PERMISSIONS",
];

/**
 * The last hour: what was refused and why, and how long decisions took; for operators the state of the server. Fetched
 * anew as often as there is something new.
 *
 * @param {import("./load.js").View} view
 */
export function figuresCards(view) {
  const timer = setInterval(() => {
    for (const part of document.hidden ? [] : [refusals, latency, state]) {
      // What a person is in would be taken away from under the fingers.
      if (part !== null && !part.place.contains(document.activeElement)) {
        void part.fill();
      }
    }
  }, 15_000);
  view.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
  /** One answer for both. @type {Promise<Figures> | null} */
  let asked = null;
  /** @param {AbortSignal} signal */
  async function figures(signal) {
    asked ??= get("/figures", signal).finally(() => {
      asked = null;
    });
    return /** @type {Figures} */ (await asked);
  }
  const refusals = loaded(view, "The refusals", async (signal) => refusalParts(await figures(signal)));
  const latency = loaded(view, "The latency", async (signal) => latencyParts(await figures(signal)));
  const state =
    view.caller.role === "operator"
      ? loaded(view, "The state", async (signal) => {
          const { state } = await figures(signal);
          return state === null ? [] : stateParts(state);
        })
      : null;
  return {
    lastHour: h(
      "div",
      { class: "columns" },
      h(
        "section",
        { class: "card", "aria-labelledby": "refusals" },
        h("h2", { id: "refusals" }, "Refusals by reason, last hour"),
        refusals.place,
      ),
      h(
        "section",
        { class: "card", "aria-labelledby": "latency" },
        h("h2", { id: "latency" }, "Authenticate latency, last hour"),
        latency.place,
      ),
    ),
    state:
      state &&
      h("section", { class: "card", "aria-labelledby": "state" }, h("h2", { id: "state" }, "This server"), state.place),
  };
}

/** @param {Figures} figures */
function refusalParts({ intervals, isOneOfMany }) {
  if (intervals.length === 0) {
    return [nothingYet()];
  }
  const rows = [
    ...reasons.map((reason) => ({
      reason,
      kind: "refused",
      perMinute: byMinute(intervals, (one) => one.refusals[reason] ?? 0),
    })),
    { reason: undecided, kind: "undecided", perMinute: byMinute(intervals, (one) => one.undecided) },
  ];
  const greatest = Math.max(1, ...rows.flatMap(({ perMinute }) => perMinute));
  return [
    h(
      "table",
      { class: "figures" },
      h("caption", { class: "unseen" }, "How often each reason was answered in the last hour"),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          h("th", { scope: "col" }, "Reason"),
          h("th", { scope: "col" }, "Each minute"),
          h("th", { scope: "col", class: "number" }, "Hour"),
        ),
      ),
      h(
        "tbody",
        null,
        rows.map(({ reason, kind, perMinute }) => {
          const total = sum(perMinute);
          const most = Math.max(...perMinute);
          return h(
            "tr",
            { class: total === 0 ? "zero" : null },
            h("th", { scope: "row" }, h("a", { class: "quiet", href: `#/refusals/${reason}` }, reasonName(reason))),
            h(
              "td",
              { class: "plot-cell" },
              barPlot(perMinute, greatest, `${kind} plot-small`, total === 0 ? "none" : `at most ${most} in a minute`),
            ),
            h("td", { class: "number" }, total.toLocaleString("en")),
          );
        }),
      ),
    ),
    h(
      "p",
      { class: "hint" },
      "One scale for all rows: the tallest bar is ",
      greatest.toLocaleString("en"),
      " in a minute. Not decided: an error was answered, never a refusal. A reason leads to its keys and gateways.",
    ),
    ...ofThisServer(isOneOfMany),
  ];
}

/** @param {boolean} isOneOfMany */
function ofThisServer(isOneOfMany) {
  return isOneOfMany ? [h("p", { class: "hint" }, "Of this server alone: other machines serve the database too.")] : [];
}

/** @param {Figures} figures */
function latencyParts({ intervals, bucketsMs, isOneOfMany }) {
  if (intervals.length === 0) {
    return [nothingYet()];
  }
  const perMinute = Array.from({ length: minutes }, (_, minute) =>
    bucketsMs.concat(0).map((_, bucket) => byMinute(intervals, (one) => one.decided[bucket] ?? 0)[minute] ?? 0),
  );
  const hour = bucketsMs.concat(0).map((_, bucket) => sum(intervals.map(({ decided }) => decided[bucket] ?? 0)));
  const count = sum(hour);
  if (count === 0) {
    return [h("p", { class: "empty" }, "No key was decided on."), ...ofThisServer(isOneOfMany)];
  }
  const median = perMinute.map((counts) => quantile(counts, bucketsMs, 0.5));
  const slowest = perMinute.map((counts) => quantile(counts, bucketsMs, 0.99));
  return [
    h(
      "dl",
      { class: "stats" },
      stat("Decisions", count.toLocaleString("en")),
      stat("Median", inMs(quantile(hour, bucketsMs, 0.5)), "p50"),
      stat("99th percentile", inMs(quantile(hour, bucketsMs, 0.99)), "p99"),
    ),
    linePlot(
      [
        { values: slowest, name: "p99" },
        { values: median, name: "p50" },
      ],
      `Each minute of the last hour. Median ${inMs(quantile(hour, bucketsMs, 0.5))}, 99th percentile ${inMs(quantile(hour, bucketsMs, 0.99))}; the same as numbers below.`,
    ),
    ...ofThisServer(isOneOfMany),
    h(
      "details",
      null,
      h("summary", null, "As numbers"),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Latency by minute" },
        h(
          "table",
          null,
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              ["Minutes ago", "Decisions", "p50", "p99"].map((text) =>
                h("th", { scope: "col", class: "number" }, text),
              ),
            ),
          ),
          h(
            "tbody",
            null,
            perMinute
              .map((counts, minute) => ({ counts, ago: minutes - 1 - minute, minute }))
              .filter(({ counts }) => sum(counts) > 0)
              .reverse()
              .map(({ counts, ago, minute }) =>
                h(
                  "tr",
                  null,
                  h("th", { scope: "row", class: "number" }, ago),
                  h("td", { class: "number" }, sum(counts).toLocaleString("en")),
                  h("td", { class: "number" }, inMs(median[minute] ?? null)),
                  h("td", { class: "number" }, inMs(slowest[minute] ?? null)),
                ),
              ),
          ),
        ),
      ),
    ),
  ];
}

function nothingYet() {
  return h("p", { class: "empty" }, "The first figures come 15 seconds after the authority's start.");
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} [line] The plot's line of this name.
 */
function stat(name, value, line) {
  return h("div", { class: line === undefined ? null : `stat-${line}` }, h("dt", null, name), h("dd", null, value));
}

/**
 * Sums what intervals tell, by the minute that they end in; the newest minute is last.
 *
 * @param {readonly Interval[]} intervals
 * @param {(interval: Interval) => number} read
 */
function byMinute(intervals, read) {
  const endMs = intervals.at(-1)?.endMs ?? 0;
  const perMinute = Array.from({ length: minutes }, () => 0);
  for (const interval of intervals) {
    const agoMs = endMs - interval.endMs;
    if (agoMs < hourMs) {
      const at = minutes - 1 - Math.floor(agoMs / minuteMs);
      perMinute[at] = (perMinute[at] ?? 0) + read(interval);
    }
  }
  return perMinute;
}

/**
 * The least time that this part of the calls took at the most, by the buckets' bounds; null when there were none.
 *
 * @param {readonly number[]} counts
 * @param {readonly number[]} bucketsMs
 * @param {number} part
 */
function quantile(counts, bucketsMs, part) {
  const wanted = sum(counts) * part;
  let seen = 0;
  for (const [at, count] of counts.entries()) {
    if (count > 0 && seen + count >= wanted) {
      const lower = bucketsMs[at - 1] ?? 0;
      const upper = bucketsMs[at] ?? lower * 2;
      return lower + (upper - lower) * ((wanted - seen) / count);
    }
    seen += count;
  }
  return null;
}

/** @param {number | null} ms */
function inMs(ms) {
  return ms === null ? "–" : `${ms >= 100 ? ms.toFixed(0) : ms.toPrecision(2)} ms`;
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}
