import { hrefOf } from "./address.js";
import { h, say } from "./dom.js";
import { digestOf, findKeys } from "./keys.js";
import { call } from "./rpc.js";
import { asRpcError, errorBox, maskedKey, modeBadge, stateBadge } from "./words.js";

const maxKeys = 20;

/**
 * What begins as keys do, or is as long and mixed as what follows: it may be a part of a key, which is for no address.
 */
const partOfKey = /(?:sk|pk|rk)_(?:live|test)_|[0-9A-Za-z]{32}/;
const accountPattern = /^[0-9A-Za-z_-]{1,64}$/;
const maxNameCharacters = 100;

/**
 * A field that takes a token's id, a key, an account or a name. A key is hashed here, and the field is empty before
 * anything is asked.
 *
 * @param {import("./rpc.js").Caller} caller
 */
export function lookupForm(caller) {
  const input = h("input", {
    id: "lookup",
    name: "lookup",
    type: "text",
    autocomplete: "off",
    autocapitalize: "off",
    autocorrect: "off",
    spellcheck: "false",
    "data-takes-keys": true,
    "aria-describedby": "lookup-hint",
    placeholder: "tok_…, or paste a key",
    onpaste(event) {
      const text = /** @type {ClipboardEvent} */ (event).clipboardData?.getData("text") ?? "";
      const { keys, broken } = findKeys(text);
      if (keys.length + broken > 0) {
        // It never gets into the field.
        event.preventDefault();
        void look(text);
      }
    },
  });
  const result = h("div", { class: "lookup-result", "aria-live": "polite" });
  const form = h(
    "form",
    {
      role: "search",
      "aria-label": "Find one token",
      class: "lookup",
      autocomplete: "off",
      onsubmit(event) {
        event.preventDefault();
        const text = input.value;
        input.value = "";
        void look(text);
      },
    },
    h("label", { for: "lookup" }, "Token id, leaked key, account or name"),
    h("div", { class: "joined" }, input, h("button", { type: "submit", class: "primary" }, "Find")),
    h(
      "p",
      { class: "hint", id: "lookup-hint" },
      "Paste a key as you found it, with the text around it. Its SHA-256 is computed in this browser, and that alone is asked for. An account or a part of a name leads to its tokens.",
    ),
  );

  /** @param {string} text */
  async function look(text) {
    const { keys, broken } = findKeys(text);
    if (keys.length > 0) {
      return await lookForKeys(keys.slice(0, maxKeys));
    }
    if (broken > 0) {
      return show(
        "That looks like a key, but its checksum is wrong: a character was changed, lost or added. No token has this key.",
      );
    }
    const id = /\btok_[0-9A-Za-z]{20,40}\b/.exec(text)?.[0];
    if (id !== undefined) {
      location.hash = hrefOf(`tokens/${id}`);
      return;
    }
    const words = text.trim();
    if (words === "") {
      return;
    }
    if (words.startsWith("tok_")) {
      return keep(text, "That is no whole token id: tok_ and at least 20 characters.");
    }
    if (partOfKey.test(words)) {
      return show(
        "That may be a part of a key, and goes no further. Paste the whole key, or look for its last 4 characters among the tokens.",
      );
    }
    if ([...words].length > maxNameCharacters) {
      return keep(text, "That is too long for a token's id or name, and there is no key in it.");
    }
    await lookForTokens(words);
  }

  /**
   * @param {string} text
   * @param {string} why
   */
  function keep(text, why) {
    input.value = text;
    show(why);
    input.focus();
  }

  /** @param {string} words */
  async function lookForTokens(words) {
    try {
      const isOfAccount = accountPattern.test(words) && (await isAccount(words, caller));
      if (isOfAccount || caller.role === "operator") {
        location.hash = hrefOf("tokens", isOfAccount ? { account: words } : { name: words });
        return;
      }
      keep(
        words,
        `Your role, ${caller.role ?? "none"}, finds names within one account: name it among the filters of Tokens.`,
      );
    } catch (error) {
      input.value = words;
      result.replaceChildren(errorBox(error, { title: "The tokens could not be looked for" }));
    }
  }

  /** @param {readonly string[]} keys */
  async function lookForKeys(keys) {
    show(keys.length === 1 ? "Looking for the key's token…" : `Looking for the tokens of ${keys.length} keys…`);
    try {
      const found = await Promise.all(keys.map(findToken));
      const tokens = found.filter((token) => token !== null);
      const [first] = tokens;
      if (first !== undefined && found.length === 1) {
        say(`The key belongs to ${first.name}.`);
        location.hash = hrefOf(`tokens/${first.id}`);
        return;
      }
      const missing = found.length - tokens.length;
      show(
        missing > 0 &&
          `${missing === 1 && found.length === 1 ? "The key is well-formed" : `${missing} of ${found.length} keys are well-formed`}, but no token here has it: it may be of another installation.`,
        tokens.length > 0 &&
          h(
            "ul",
            { class: "plain" },
            tokens.map((token) =>
              h(
                "li",
                null,
                h("a", { href: `#/tokens/${token.id}` }, token.name),
                " ",
                h("span", { class: "mono" }, maskedKey(token)),
                " ",
                modeBadge(token),
                " ",
                stateBadge(token.state),
              ),
            ),
          ),
      );
    } catch (error) {
      result.replaceChildren(
        errorBox(error, {
          title: "The key's token could not be looked up",
          advice: "The key was forgotten: paste it again.",
        }),
      );
    }
  }

  /** @param {...import("./dom.js").Child} children */
  function show(...children) {
    result.replaceChildren(h("div", { class: "notice" }, ...children));
  }

  return h("section", { class: "card" }, form, result);
}

/**
 * Whether an account has this name. Only operators see which there are: for others a name that could be one is.
 *
 * @param {string} name
 * @param {import("./rpc.js").Caller} caller
 */
async function isAccount(name, { role }) {
  if (role !== "operator") {
    return true;
  }
  // Of those that begin so, the name itself is the first.
  const { accounts = [] } = await call("ListAccounts", { prefix: name, pageSize: 1 });
  return accounts[0]?.account === name;
}

/** @param {string} key */
async function findToken(key) {
  try {
    return (await call("FindByDigest", { digest: await digestOf(key) })).token;
  } catch (error) {
    if (asRpcError(error).reason === "TOKEN_NOT_FOUND") {
      return null;
    }
    throw error;
  }
}
