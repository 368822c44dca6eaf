// The rules of fields, in plain words. The authority's own words name the field and the pattern: what has none here is
// said in those.

/** How the page calls the fields of requests. @type {Readonly<Record<string, string>>} */
const labels = {
  account: "Account",
  name: "Name",
  permissions: "Permissions",
  permission: "May do",
  expire_time: "Expires",
  reason: "Reason",
  prefix: "Name begins with",
  name_contains: "Name contains",
  key_hint: "Key ends with",
  created_by: "Created by",
  caller: "Done by",
  id: "Token id",
  token_id: "Token id",
  overlap: "The old key lives on for",
  move_end: "Ends",
  filter: "Filter",
};

/** By a part of the authority's words. @type {readonly (readonly [string, string])[]} */
const plainWords = [
  ["must not contain a key", "A key stands in it. Take it out: a key belongs only where it is used."],
  [
    "must not contain control characters",
    "It has a character that nobody can see, as copied text often has. Type the text anew.",
  ],
  ["must have a character that can be seen", "Nothing of it can be seen."],
  ["must lie in the future", "This time has passed. Times here are UTC."],
  ["must be a time from the year 1 to 9999", "This is no date that can be kept: the year has four digits."],
  [
    "must be resource:action",
    "A permission is a resource, a colon, and read or write, such as events:read. The resource begins with a small letter and goes on with small letters, digits and _.",
  ],
  ["must all be different", "A permission stands here twice."],
  ["must be 1 to 100 for a restricted token", "A restricted key has 1 to 100 permissions."],
  ["must be at most 100", "A restricted key has 100 permissions at the most."],
  [
    "must be 1 to 64 characters of",
    "Only letters from A to Z, digits, _ and - make an account, 1 to 64 of them; no blanks.",
  ],
  [
    "must be at most 64 characters of",
    "Only letters from A to Z, digits, _ and - make an account, 64 at the most; no blanks.",
  ],
  [
    "must be the last 4 characters of a key",
    "The last 4 characters of the key: letters and digits, neither more nor fewer.",
  ],
  ["printable ASCII", "The name of a service, as its certificate has it, or the id of a token; never a key."],
  ["must be named by the role", "Your role sees one at a time: name it."],
  ["must be a token id", "A token's id is tok_ and at least 20 letters and digits."],
];

const lengthRule = /must be (\d+) to (\d+) characters$/;

/**
 * A rule that was broken, for people: without the name of the field, which stands beside it.
 *
 * @param {string} message The authority's.
 */
export function plainRule(message) {
  const length = lengthRule.exec(message);
  if (length !== null) {
    return length[1] === "0"
      ? `${length[2]} characters at the most.`
      : `It has ${length[1]} to ${length[2]} characters.`;
  }
  const known = plainWords.find(([part]) => message.includes(part));
  return known === undefined ? `${message.charAt(0).toUpperCase()}${message.slice(1)}.` : known[1];
}

/**
 * The same where no field stands beside it.
 *
 * @param {string} field By its name in the proto; empty when there is none.
 * @param {string} message
 */
export function ruleOf(field, message) {
  const label = labels[field];
  return label === undefined ? plainRule(message) : `${label}: ${plainRule(message)}`;
}

const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(read|write)$/;

/**
 * The permissions in a text, one a line or separated by blanks or commas, with the line that each stands in, from 1.
 *
 * @param {string} text
 */
export function permissionsIn(text) {
  return text
    .split("\n")
    .flatMap((line, at) => line.split(/[\s,]+/).map((permission) => ({ permission, line: at + 1 })))
    .filter(({ permission }) => permission !== "");
}

/**
 * Which line broke a rule: `Line 2, “everything”: `. Empty when that cannot be said.
 *
 * @param {string} text
 */
export function lineAtFault(text) {
  const written = permissionsIn(text);
  const wrong =
    written.find(({ permission }) => !permissionPattern.test(permission)) ??
    written.find(({ permission }, at) => written.findIndex((one) => one.permission === permission) < at);
  return wrong === undefined ? "" : `Line ${wrong.line}, “${wrong.permission.slice(0, 80)}”: `;
}
