import { minuteIn } from "./days.js";
import { announce, field, h, markField } from "./dom.js";
import { showKeyOnce } from "./key-once.js";
import { heading } from "./load.js";
import { createRetry } from "./retry.js";
import { lineAtFault, permissionsIn, plainRule } from "./rules.js";
import { asRpcError, errorBox } from "./words.js";

const types = /** @type {const} */ ([
  ["restricted", "May do what it is given, and nothing else."],
  ["secret", "May do everything in its account. For servers."],
  ["publishable", "May be seen by anybody; may do nothing by permission."],
]);

/** When a token may expire, in days from now; null is never. */
const expiries = /** @type {const} */ ([
  ["7 days", 7],
  ["30 days", 30],
  ["90 days", 90],
  ["1 year", 365],
  ["never", null],
]);

/** Which fields of the request stand in which control. @type {Readonly<Record<string, string>>} */
const controlOf = {
  account: "create-account",
  name: "create-name",
  permissions: "create-permissions",
  expireTime: "create-expires",
};

/**
 * A form that makes a token. What was filled in stays, whatever the authority answers or does not answer.
 *
 * @param {import("./load.js").View} view
 */
export function createView(view) {
  const mayAll = view.caller.role !== "service";
  const account = h("input", {
    id: "create-account",
    required: true,
    maxlength: 64,
    pattern: "[0-9A-Za-z_\\-]+",
    title: "letters, digits, _ and -",
    value: view.address.query.account ?? "",
    ...plain("create-account"),
  });
  const name = h("input", { id: "create-name", required: true, maxlength: 100, ...plain("create-name") });
  const permissions = h("textarea", {
    id: "create-permissions",
    rows: 4,
    class: "mono",
    placeholder: "events:read\npayment_intents:write",
    ...plain("create-permissions"),
  });
  const expires = h("input", { id: "create-expires", type: "datetime-local", step: 60, ...plain("create-expires") });
  const problem = h("div");
  const submit = h("button", { type: "submit", class: "primary" }, "Create token");
  const permissionField = field("create-permissions", "Permissions", permissions, {
    hint: "One a line: resource:read or resource:write. write covers read.",
  });

  const retry = createRetry("Create");
  let mayHaveHappened = false;

  const form = h(
    "form",
    {
      class: "card create",
      "aria-label": "New token",
      autocomplete: "off",
      onchange: showPermissions,
      onsubmit(event) {
        event.preventDefault();
        void send();
      },
    },
    field("create-account", "Account", account),
    field("create-name", "Name", name, { hint: "For people: where the key is used." }),
    h(
      "fieldset",
      null,
      h("legend", null, "Type"),
      types.map(([type, hint]) => {
        const isAllowed = mayAll || type === "restricted";
        return h(
          "label",
          { class: "option" },
          h("input", {
            type: "radio",
            name: "type",
            value: type,
            checked: type === "restricted",
            disabled: !isAllowed,
          }),
          h(
            "span",
            null,
            h("strong", null, type),
            h("span", { class: "hint" }, isAllowed ? hint : `Your role, ${view.caller.role}, may not create these.`),
          ),
        );
      }),
    ),
    h(
      "fieldset",
      null,
      h("legend", null, "Mode"),
      h(
        "label",
        { class: "option" },
        h("input", { type: "radio", name: "mode", value: "test", checked: true }),
        h("span", null, h("strong", null, "test"), h("span", { class: "hint" }, "Acts on test data.")),
      ),
      h(
        "label",
        { class: "option" },
        h("input", { type: "radio", name: "mode", value: "live" }),
        h("span", null, h("strong", null, "live"), h("span", { class: "hint" }, "Acts on live data.")),
      ),
    ),
    permissionField,
    h(
      "div",
      { class: "field" },
      field("create-expires", "Expires (UTC)", expires, { hint: "Empty: never." }),
      h(
        "div",
        { class: "actions", role: "group", "aria-label": "Expires in" },
        expiries.map(([text, days]) =>
          h("button", { type: "button", class: "copy", onclick: () => expireIn(text, days) }, text),
        ),
      ),
    ),
    problem,
    h("div", { class: "actions" }, submit, h("a", { class: "button", href: "#/tokens" }, "Cancel")),
  );

  function showPermissions() {
    permissionField.hidden = chosen("type") !== "restricted";
  }

  /**
   * @param {string} text
   * @param {number | null} days
   */
  function expireIn(text, days) {
    expires.value = days === null ? "" : minuteIn(days);
    markField(expires, null);
    announce(days === null ? "Expires never." : `Expires in ${text}: ${expires.value.replace("T", " ")} UTC.`);
  }

  /** @param {string} radio */
  function chosen(radio) {
    return String(new FormData(form).get(radio));
  }

  function requestOf() {
    const type = chosen("type");
    return {
      account: account.value.trim(),
      name: name.value.trim(),
      type: `TOKEN_TYPE_${type.toUpperCase()}`,
      livemode: chosen("mode") === "live",
      permissions: type === "restricted" ? permissionsIn(permissions.value).map(({ permission }) => permission) : [],
      ...(expires.value === "" ? {} : { expireTime: `${expires.value}:00Z` }),
    };
  }

  async function send() {
    const request = requestOf();
    clearMarks();
    if (request.type === "TOKEN_TYPE_RESTRICTED" && request.permissions.length === 0) {
      markField(permissions, "A restricted key needs at least one permission.");
      permissions.focus();
      return;
    }
    mayHaveHappened = false;
    submit.disabled = true;
    submit.textContent = "Creating…";
    try {
      const { token, key = "" } = await retry.send(request, view.signal);
      problem.replaceChildren();
      showKeyOnce(token, key, {
        said: `Created “${token.name}”.`,
        gone: "The token was made, and revoked since",
        signal: view.signal,
        onDone() {
          location.hash = `#/tokens/${token.id}`;
        },
      });
    } catch (error) {
      if (!view.signal.aborted) {
        showProblem(asRpcError(error));
      }
    } finally {
      submit.disabled = false;
      submit.textContent = mayHaveHappened ? "Send the same again" : "Create token";
    }
  }

  function clearMarks() {
    problem.replaceChildren();
    for (const control of [account, name, permissions, expires]) {
      markField(control, null);
    }
  }

  /** @param {import("./rpc.js").RpcError} error */
  function showProblem(error) {
    const control = document.getElementById(
      controlOf[error.metadata.field?.replace("expire_time", "expireTime").replace(/\[.*/, "") ?? ""] ?? "",
    );
    if (control !== null) {
      const line = control === permissions ? lineAtFault(permissions.value) : "";
      markField(control, `${line}${plainRule(error.message)}`);
      control.focus();
      return;
    }
    mayHaveHappened = error.isUnknown;
    const box = errorBox(error, {
      title: error.isUnknown ? "The outcome is not known" : "No token was created",
      advice: adviceOn(error),
    });
    problem.replaceChildren(box);
  }

  /** @param {import("./rpc.js").RpcError} error */
  function adviceOn({ isUnknown }) {
    if (!isUnknown) {
      return "";
    }
    return retry.isSafe()
      ? "What you filled in is still here. Send the same again: it makes one token, however often it is sent. If you change it first, it is another token."
      : "This authority has no sealing secret, so that sending again may make a second token: look for it in the account's list first.";
  }

  return [heading("Create token"), form];
}

/** @param {string} id */
function plain(id) {
  return {
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": `${id}-hint ${id}-error`,
  };
}
