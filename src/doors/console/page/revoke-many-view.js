import { hrefOf } from "./address.js";
import { confirmationField, openDialog, reasonField } from "./dialog.js";
import { h } from "./dom.js";
import { heading, loaded } from "./load.js";
import { call } from "./rpc.js";
import { settledWords } from "./settlement.js";
import { titleOf, tokenFilterOf } from "./token-filters.js";
import { countOf } from "./words.js";

/** What a dry run counts at the most. */
const maxCounted = 10_000;

/**
 * Revokes the tokens of a search, after a dry run that shows how many and which they are.
 *
 * @param {import("./load.js").View} view
 */
export function revokeManyView(view) {
  const { query } = view.address;
  const back = hrefOf("tokens", query);
  const progress = h("p", { class: "progress", role: "status" });
  const { place, fill } = loaded(view, "The dry run", async (signal) => {
    const filter = tokenFilterOf(query);
    const { matched = 0, sampleIds = [], upToRevision = "0" } = await call("RevokeTokens", { filter }, signal);
    if (matched === 0) {
      return [h("p", { class: "empty" }, "No token is like that and not revoked yet.")];
    }
    const many = countOf(matched, maxCounted, "token");
    return [
      h(
        "p",
        null,
        h("strong", null, `${many} would be revoked.`),
        ` Created up to revision ${upToRevision}; what is created after this dry run is left alone.`,
      ),
      h(
        "details",
        null,
        h("summary", null, sampleIds.length === matched ? "Which they are" : `The newest ${sampleIds.length} of them`),
        h(
          "ul",
          { class: "plain scroll", tabindex: "0", "aria-label": "Tokens that would be revoked" },
          sampleIds.map((id) => h("li", null, h("a", { class: "mono", href: `#/tokens/${id}` }, id))),
        ),
      ),
      h(
        "div",
        { class: "actions" },
        h(
          "button",
          { type: "button", class: "danger", onclick: () => openRevokeMany({ filter, matched, many, upToRevision }) },
          `Revoke ${many}…`,
        ),
        h("a", { class: "button", href: back }, "Back to the list"),
      ),
    ];
  });

  /** @param {{ readonly filter: object, readonly matched: number, readonly many: string, readonly upToRevision: string }} run */
  function openRevokeMany({ filter, matched, many, upToRevision }) {
    const reason = reasonField("many-reason");
    const { signal } = view;
    let upTo = upToRevision;
    let total = 0;
    openDialog({
      id: "many",
      title: `Revoke ${many}?`,
      lead: [titleOf(query), "From the answer on, no gateway lets any of their keys pass. There is no way back."],
      fields: [
        reason,
        confirmationField("many-confirm", {
          label: "To confirm, type how many were counted",
          expected: String(matched),
          hint: `It is ${matched}.`,
          wrong: `The dry run counted ${matched}.`,
        }),
      ],
      keep: "Keep them",
      submit: `Revoke ${many}`,
      failed: "Not all were revoked",
      again: "Send it again: it goes on where it was, and revokes none twice.",
      signal,
      async send() {
        /** @type {import("./settlement.js").Holder[]} */
        const silent = [];
        /** @type {import("./settlement.js").Holder[]} */
        const unconfirmed = [];
        for (;;) {
          const request = { filter, force: true, upToRevision: upTo, reason: reason.control.value.trim() };
          const answer = await call("RevokeTokens", request, signal);
          const { revoked = 0, upToRevision: next, done = false } = answer;
          total += revoked;
          silent.push(...(answer.silent ?? []));
          unconfirmed.push(...(answer.unconfirmed ?? []));
          progress.textContent = `${total.toLocaleString("en")} revoked.`;
          if (done) {
            return `Revoked ${countOf(total, Number.POSITIVE_INFINITY, "token")}.${settledWords({ ...answer, silent, unconfirmed })}`;
          }
          upTo = next ?? upTo;
        }
      },
      onDone: fill,
    });
  }

  return [
    h("p", { class: "crumbs" }, h("a", { href: back }, "Tokens"), " / revoke by filter"),
    heading("Revoke by filter"),
    h(
      "section",
      { class: "card", "aria-labelledby": "dry-run" },
      h("h2", { id: "dry-run", tabindex: "-1", "data-focus": true }, `Dry run: ${titleOf(query)}`),
      place,
      progress,
    ),
  ];
}
