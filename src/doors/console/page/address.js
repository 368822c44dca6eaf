import { holdsKey } from "./keys.js";

/**
 * Where the page is: kept behind the # of its address, so that reload, back and bookmarks work. Never a key.
 *
 * @typedef {object} Address
 * @property {string} page
 * @property {string} id Of one token; else empty.
 * @property {Readonly<Record<string, string>>} query
 */

/**
 * @param {string} hash
 * @returns {Address}
 */
export function parseAddress(hash) {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", id = ""] = path.split("/", 2);
  return { page, id: decodeURIComponent(id), query: Object.fromEntries(new URLSearchParams(query)) };
}

/**
 * @param {string} page
 * @param {Readonly<Record<string, string>>} query What is empty is left out.
 */
export function hrefOf(page, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "");
  const text = new URLSearchParams(given).toString();
  const href = `#/${page}${text === "" ? "" : `?${text}`}`;
  if (holdsKey(href)) {
    throw new Error("an address must not hold a key");
  }
  return href;
}

/** Takes an address that holds a key out of the history, whoever wrote it there. */
export function forgetKeyInAddress() {
  if (holdsKey(decodeURI(location.href))) {
    history.replaceState(null, "", "/#/");
  }
}
