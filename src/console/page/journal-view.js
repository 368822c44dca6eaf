import { hrefOf } from "./address.js";
import { copyButton, h } from "./dom.js";
import { heading, loaded, pager } from "./load.js";
import { call } from "./rpc.js";
import { changeTable } from "./token-view.js";
import { hexOf, timeWithAge, wordOf } from "./words.js";

/**
 * Every change, newest first, and the head that stands for them all.
 *
 * @param {import("./load.js").View} view
 */
export function journalView(view) {
  const { page = "" } = view.address.query;
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
    h(
      "section",
      { class: "card", "aria-labelledby": "results" },
      h("h2", { id: "results", tabindex: "-1", "data-focus": true }, "Changes, newest first"),
      loaded(view, "The changes", async (signal) => {
        const { changes = [], nextPageToken = "" } = await call("ListChanges", { pageToken: page }, signal);
        const pages = pager({
          first: page === "" ? null : hrefOf("journal"),
          next: nextPageToken === "" ? null : hrefOf("journal", { page: nextPageToken }),
        });
        return [
          changes.length === 0 ? h("p", { class: "empty" }, "Nothing has happened yet.") : changeTable(changes, true),
          ...(pages === null ? [] : [pages]),
        ];
      }).place,
    ),
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
          wordOf(head.action) === "revoke" ? "A token was revoked " : "A token was created ",
          timeWithAge(head.changeTime),
          ". Keep the head elsewhere: ",
          h("code", null, "verify-journal --head"),
          " finds what was cut off since.",
        ),
      ];
    }).place,
  );
}
