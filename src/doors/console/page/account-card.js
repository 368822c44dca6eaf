import { h } from "./dom.js";
import { closeButton, holdButton, subjectOfAccount } from "./holds.js";
import { loaded } from "./load.js";
import { call } from "./rpc.js";
import { accountStateBadge, wordOf } from "./words.js";

/**
 * The account that a list is about: whether its keys may pass, and what stops them.
 *
 * @param {import("./load.js").View} view
 * @param {string} account
 * @param {() => Promise<void>} onChanged
 */
export function accountCard(view, account, onChanged) {
  const { place, fill } = loaded(view, "The account", async (signal) => {
    const state = await stateOf(account, view.caller.role, signal);
    const changing = {
      caller: view.caller,
      signal: view.signal,
      onChanged: async () => void (await Promise.all([fill(), onChanged()])),
    };
    return [
      h("p", { class: "badges" }, h("span", { class: "mono" }, account), " ", accountStateBadge(state)),
      ...(wordOf(state) === "closed"
        ? [h("p", { class: "hint" }, "No key of the account passes, and none is created. It stays so.")]
        : [
            h(
              "div",
              { class: "actions" },
              holdButton(subjectOfAccount(account), wordOf(state) === "held", changing),
              closeButton(account, changing),
            ),
          ]),
    ];
  });
  return h("section", { class: "card", "aria-labelledby": "account" }, h("h2", { id: "account" }, "Account"), place);
}

/**
 * Operators may ask for the account, which may have no token; others see it in its tokens.
 *
 * @param {string} account
 * @param {string | null} role
 * @param {AbortSignal} signal
 */
async function stateOf(account, role, signal) {
  if (role === "operator") {
    const { accounts = [] } = await call("ListAccounts", { prefix: account, pageSize: 1 }, signal);
    return (accounts[0]?.account === account && accounts[0].state) || "ACCOUNT_STATE_ACTIVE";
  }
  const { tokens = [] } = await call("List", { account, pageSize: 1 }, signal);
  return tokens[0]?.accountState ?? "ACCOUNT_STATE_ACTIVE";
}
