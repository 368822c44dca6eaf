import { hrefOf } from "./address.js";
import { changeTable, doneWords } from "./change-table.js";
import { startOf } from "./days.js";
import { announce, copyButton, h } from "./dom.js";
import { choiceFilter, countText, firstFilledPage, noneSoFar, searchForm, textFilter } from "./filters.js";
import { heading, loaded, pager } from "./load.js";
import { call } from "./rpc.js";
import { hexOf, timeWithAge, wordOf } from "./words.js";

/**
 * Every change, newest first, and the head that stands for them all.
 *
 * @param {import("./load.js").View} view
 */
export function journalView(view) {
  const { query } = view.address;
  const { role } = view.caller;
  if (role === "service" || role === "dashboard") {
    return [
      heading("Journal"),
      h("p", { class: "notice" }, `Your role, ${role}, sees the changes of one token at a time: open the token.`),
    ];
  }
  return [
    heading("Journal"),
    headCard(view),
    filterForm(query),
    h(
      "section",
      { class: "card", "aria-labelledby": "results" },
      h("h2", { id: "results", tabindex: "-1", "data-focus": true }, titleOf(query)),
      loaded(view, "The changes", (signal) => loadPage(query, signal)).place,
    ),
  ];
}

const filters = /** @type {const} */ (["caller", "account", "action", "day"]);

/** @param {Readonly<Record<string, string>>} query */
function titleOf(query) {
  const words = { caller: "done by", account: "of account", action: "action", day: "on" };
  const said = filters.filter((name) => query[name]).map((name) => `${words[name]} ${query[name]}`);
  return said.length === 0 ? "All changes, newest first" : `Changes ${said.join(", ")}`;
}

/** @param {Readonly<Record<string, string>>} query */
function filterForm(query) {
  return searchForm(
    "journal",
    "Filter changes",
    textFilter(query, "caller", "Done by", {
      maxlength: 2048,
      title: "the identity of a service, or the id of a token whose key did it over REST",
    }),
    textFilter(query, "account", "Account", { maxlength: 64 }),
    choiceFilter(query, "action", "Change", Object.keys(doneWords)),
    textFilter(query, "day", "Day (UTC)", { type: "date" }),
  );
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {AbortSignal} signal
 */
async function loadPage(query, signal) {
  const from = startOf(query.day);
  const before = startOf(query.day, 1);
  const request = {
    caller: query.caller ?? "",
    account: query.account ?? "",
    ...(query.action ? { action: `CHANGE_ACTION_${query.action.toUpperCase().replaceAll(" ", "_")}` } : {}),
    ...(from === null ? {} : { changedFrom: from }),
    ...(before === null ? {} : { changedBefore: before }),
  };
  const { items: changes, nextPageToken } = await firstFilledPage(query.page ?? "", async (pageToken) => {
    const { changes = [], nextPageToken = "" } = await call("ListChanges", { ...request, pageToken }, signal);
    return { items: changes, nextPageToken };
  });
  const asked = Object.fromEntries(filters.map((name) => [name, query[name] ?? ""]));
  const pages = pager({
    first: query.page ? hrefOf("journal", asked) : null,
    next: nextPageToken === "" ? null : hrefOf("journal", { ...asked, page: nextPageToken }),
  });
  announce(countText(changes.length, "change", nextPageToken !== ""));
  return [
    changes.length === 0
      ? h("p", { class: "empty" }, nextPageToken === "" ? "There is no such change." : noneSoFar)
      : changeTable(changes, true),
    ...(pages === null ? [] : [pages]),
  ];
}

/**
 * The newest change and its hash, in the form that `verify-journal --head` takes.
 *
 * @param {import("./load.js").View} view
 */
export function headCard(view) {
  return h(
    "section",
    { class: "card", "aria-labelledby": "journal-head" },
    h("h2", { id: "journal-head" }, "Journal head"),
    loaded(view, "The journal's head", async (signal) => {
      const [head] = (await call("ListChanges", { pageSize: 1 }, signal)).changes ?? [];
      if (head === undefined) {
        return [h("p", { class: "empty" }, "Nothing has happened yet.")];
      }
      const text = `${head.revision}:${hexOf(head.hash)}`;
      return [
        h(
          "p",
          { class: "head-line" },
          h("span", { class: "mono breaks", id: "head-text" }, text),
          " ",
          copyButton(() => text, "the journal's head"),
        ),
        h(
          "p",
          { class: "hint" },
          `The newest change: ${doneWords[wordOf(head.action)] ?? wordOf(head.action)}, `,
          timeWithAge(head.changeTime),
          ". Keep the head elsewhere: ",
          h("code", null, "verify-journal --head"),
          " finds what was cut off since.",
        ),
      ];
    }).place,
  );
}
