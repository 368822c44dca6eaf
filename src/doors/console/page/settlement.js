/** @typedef {{ readonly identity: string, readonly untilTime?: string }} Holder */
/**
 * What became of those that decide from memory, in the answer to a change.
 *
 * @typedef {object} Settlement
 * @property {number} [acknowledgedCount]
 * @property {readonly Holder[]} [silent] Were waited out: their leases are over.
 * @property {readonly Holder[]} [unconfirmed] Cut off from the database, and go on from memory, by GRACE_MS.
 */

const maxNamed = 5;

/**
 * For behind the sentence that says what was done; empty where nobody decides from memory.
 *
 * @param {Settlement} answer
 */
export function settledWords({ acknowledgedCount = 0, silent = [], unconfirmed = [] }) {
  const gateways =
    acknowledgedCount === 1 ? "1 gateway has" : `${acknowledgedCount.toLocaleString("en")} gateways have`;
  const untilMs = Math.max(...unconfirmed.map(({ untilTime = "" }) => Date.parse(untilTime)));
  return [
    acknowledgedCount > 0 && `${gateways} confirmed it.`,
    silent.length > 0 && `Waited out, and cannot decide from memory now: ${namesOf(silent)}.`,
    unconfirmed.length > 0 &&
      `Not confirmed: ${namesOf(unconfirmed)} may decide as before until ${new Date(untilMs).toISOString().slice(11, 19)} UTC, cut off from the database.`,
  ]
    .filter((words) => words !== false)
    .map((words) => ` ${words}`)
    .join("");
}

/** @param {readonly Holder[]} holders */
function namesOf(holders) {
  const names = [...new Set(holders.map(({ identity }) => identity))];
  const more = names.length - maxNamed;
  return names.slice(0, maxNamed).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
