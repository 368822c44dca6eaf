import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { AuthenticateResponseSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { type AuthenticateRequest, judge, type Outcome, refusal } from "../src/authority/judge.ts";
import type { Principal } from "../src/authority/key-index.ts";
import { type StoredToken, type TokenType, tokenTypes } from "../src/authority/token.ts";
import { maxRequiredPermissions } from "../src/authority/token-authority.ts";
import { requirePermissions } from "../src/authority/validation.ts";
import { toAuthenticateResponse } from "../src/doors/rpc/to-message.ts";

/** As callers write it in protobuf's names; a type may be one that nobody knows. */
type Question = {
  readonly required_permissions?: readonly string[];
  readonly livemode?: boolean;
  readonly allowed_types?: readonly string[];
};

/** What the authority knows of a key: a token, nothing, or what a later version may answer. */
type Subject = { readonly name: string } & (
  | { readonly token: StoredToken }
  | { readonly outcome: Outcome }
  | { readonly answer: JsonValue }
);

type Judged = Exclude<Subject, { readonly answer: JsonValue }>;

/** `ask` leaves the decision to the authority. Missing permissions stand after their reason. */
type Decision = readonly ["ask"] | readonly ["principal"] | readonly [string, ...string[]];

const about =
  "How a client decides from what it keeps of a key. `answer` is what the authority answers for a key when it is asked " +
  "the widest question (no permissions, both modes, all types), in protobuf's JSON. `decisions` has, for each of " +
  "`questions` in their order, the index of the decision in `outcomes`: `principal`; the reason of a refusal, and after " +
  "it the missing permissions; or `ask`, which a client never decides itself. `npm run generate` writes this file by the " +
  "authority's own rules.";

const nowMs = Date.UTC(2030, 0, 1);
const unknownValue = 99;
const unknownType = "a-type-of-later";

const live = {
  id: "tok_0123456789abcdefghij",
  account: "acct_1",
  name: "Till",
  type: "secret" as const,
  livemode: true,
  keyHint: "ij8F",
  permissions: [],
  createdBy: "local",
  createdAtMs: 1,
  expiresAtMs: null,
  keyEndsAtMs: null,
  held: false,
  accountState: "active" as const,
  revokedAtMs: null,
  revokeReason: "",
  createRevision: 1,
  issueRevision: 1,
  revokeRevision: null,
};

const grants: readonly (readonly string[])[] = [
  ["charges:read"],
  ["charges:write"],
  ["charges:read", "charges:write"],
  ["charges:read", "customers:write", "payment_links2:read"],
];

/** The last two: no more than 16, and not of the form of a permission. */
const requirements: readonly (readonly string[] | undefined)[] = [
  undefined,
  ["charges:read"],
  ["charges:write"],
  ["customers:read", "charges:write", "customers:read"],
  ["charge:read"],
  Array.from({ length: maxRequiredPermissions }, (_, index) => (index === 3 ? "charges:write" : "charges:read")),
  Array.from({ length: maxRequiredPermissions + 1 }, () => "charges:read"),
  ["charges:read", "charges:delete"],
  ["charges:read\n"],
  [""],
];

/** What `npm run generate` writes to clients/vectors/decisions.json: one line for each question and each fact. */
export function decisionVectors(): string {
  const questions = allQuestions();
  const outcomes = new Map<string, number>([[JSON.stringify(["ask"]), 0]]);
  const facts = allSubjects().map((subject) => ({
    name: subject.name,
    answer: answerOf(subject),
    decisions: questions.map((question) => {
      const decision = JSON.stringify(decisionOn(subject, question));
      outcomes.set(decision, outcomes.get(decision) ?? outcomes.size);
      return outcomes.get(decision);
    }),
  }));
  const lines = (values: readonly unknown[]) => values.map((value) => `\n    ${JSON.stringify(value)}`).join(",");
  return [
    "{",
    `  "about": ${JSON.stringify(about)},`,
    `  "questions": [${lines(questions)}\n  ],`,
    `  "outcomes": [${lines([...outcomes.keys()].map((decision) => JSON.parse(decision)))}\n  ],`,
    `  "facts": [${lines(facts)}\n  ]`,
    "}\n",
  ].join("\n");
}

function allQuestions(): readonly Question[] {
  const modes = [undefined, true, false];
  return allowances().flatMap((allowed) =>
    modes.flatMap((livemode) =>
      requirements.map((required) => ({
        ...(required === undefined ? {} : { required_permissions: required }),
        ...(livemode === undefined ? {} : { livemode }),
        ...(allowed.length === 0 ? {} : { allowed_types: allowed }),
      })),
    ),
  );
}

/** Every set of types, and one that has an unknown type. */
function allowances(): readonly (readonly string[])[] {
  const sets = Array.from({ length: 2 ** tokenTypes.length }, (_, bits) =>
    tokenTypes.filter((_, index) => (bits & (1 << index)) !== 0),
  );
  return [...sets, ["secret", unknownType]];
}

function allSubjects(): readonly Subject[] {
  const given = tokenTypes.flatMap((type) =>
    (type === "restricted" ? grants : [[]]).map((permissions) => ({ type, permissions })),
  );
  const tokens = given.flatMap(({ type, permissions }) =>
    [true, false].map((livemode) => ({
      name: [type, livemode ? "live" : "test", ...permissions].join(" "),
      token: { ...live, type, livemode, permissions },
    })),
  );
  const principal = answerOf({ name: "", token: live });
  const states: Readonly<Record<string, Partial<StoredToken>>> = {
    "expires in a millisecond": { expiresAtMs: nowMs + 1 },
    "expires now": { expiresAtMs: nowMs },
    revoked: { revokedAtMs: nowMs, revokeRevision: 2 },
    "ends in a millisecond": { keyEndsAtMs: nowMs + 1 },
    "ends now": { keyEndsAtMs: nowMs },
    held: { held: true },
    "of a held account": { accountState: "held" },
    "of a closed account": { accountState: "closed" },
    "held, and of a held account": { held: true, accountState: "held" },
    "held, and of a closed account": { held: true, accountState: "closed" },
    "expired, ended and held": { expiresAtMs: nowMs, keyEndsAtMs: nowMs, held: true },
    "revoked, ended and held": { revokedAtMs: nowMs, revokeRevision: 2, keyEndsAtMs: nowMs, held: true },
    "revoked, and expired before": { revokedAtMs: nowMs, revokeRevision: 2, expiresAtMs: nowMs - 1 },
  };
  return [
    ...tokens,
    ...Object.entries(states).map(([name, state]) => ({ name, token: { ...live, ...state } })),
    { name: "unknown key", outcome: refusal("KEY_UNKNOWN", null) },
    { name: "no key", outcome: refusal("KEY_MALFORMED", null) },
    // No answer to the widest question: whoever gets one does not know what was asked.
    { name: "the other mode", answer: { refusal: { reason: "REFUSAL_REASON_LIVEMODE_MISMATCH" } } },
    { name: "type not allowed", answer: { refusal: { reason: "REFUSAL_REASON_TYPE_NOT_ALLOWED" } } },
    { name: "permissions missing", answer: { refusal: { reason: "REFUSAL_REASON_INSUFFICIENT_PERMISSIONS" } } },
    {
      name: "a reason of later",
      answer: { refusal: { reason: unknownValue, tokenId: live.id, account: live.account } },
    },
    { name: "no reason", answer: { refusal: {} } },
    { name: "a type of later", answer: { principal: { ...partOf(principal, "principal"), type: unknownValue } } },
    { name: "no type", answer: { principal: { tokenId: live.id, account: live.account } } },
    { name: "neither", answer: {} },
  ];
}

function answerOf(subject: Subject): JsonValue {
  if ("answer" in subject) {
    return subject.answer;
  }
  const widest = { key: "", requiredPermissions: [], livemode: null, allowedTypes: tokenTypes };
  return toJson(AuthenticateResponseSchema, toAuthenticateResponse(judged(subject, widest)));
}

function partOf(answer: JsonValue, name: string): object {
  const part = typeof answer === "object" && answer !== null && !Array.isArray(answer) ? answer[name] : null;
  return typeof part === "object" && part !== null ? part : {};
}

function decisionOn(subject: Subject, question: Question): Decision {
  const request = requestOf(question);
  if (request === null || "answer" in subject) {
    return ["ask"];
  }
  const outcome = judged(subject, request);
  return outcome.kind === "principal" ? ["principal"] : [outcome.reason, ...outcome.missingPermissions];
}

function judged(subject: Judged, request: AuthenticateRequest): Outcome {
  if ("outcome" in subject) {
    return subject.outcome;
  }
  const found: Principal = { kind: "principal", token: subject.token, isRemembered: false, beside: null };
  return judge(request, found, nowMs);
}

/** Null where the authority answers that the question itself is at fault. */
function requestOf(question: Question): AuthenticateRequest | null {
  const { required_permissions: requiredPermissions = [], livemode, allowed_types: allowedTypes = [] } = question;
  if (!allowedTypes.every(isType)) {
    return null;
  }
  try {
    requirePermissions("requiredPermissions", requiredPermissions, maxRequiredPermissions);
  } catch {
    return null;
  }
  return { key: "", requiredPermissions, livemode: livemode ?? null, allowedTypes };
}

function isType(name: string): name is TokenType {
  return tokenTypes.some((type) => type === name);
}
