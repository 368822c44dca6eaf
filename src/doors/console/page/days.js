// Days as fields of type date have them: YYYY-MM-DD, in UTC as everything here.

const dayMs = 86_400_000;

/**
 * The start of a day as RPCs take times; null for what is no day.
 *
 * @param {string | undefined} day
 * @param {number} [daysLater]
 */
export function startOf(day, daysLater = 0) {
  const ms = /^\d{4}-\d\d-\d\d$/.test(day ?? "") ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  const shifted = new Date(ms + daysLater * dayMs);
  // The year 10000 is no time of the authority's.
  return Number.isNaN(shifted.getTime()) || shifted.getUTCFullYear() > 9999 ? null : shifted.toISOString();
}

/**
 * A time from now, to the minute, as fields of type datetime-local have it.
 *
 * @param {number} days
 */
export function minuteIn(days) {
  return new Date(Date.now() + days * dayMs).toISOString().slice(0, 16);
}

/**
 * The day so many days from today.
 *
 * @param {number} days
 */
export function dayIn(days) {
  return new Date(Date.now() + days * dayMs).toISOString().slice(0, 10);
}
