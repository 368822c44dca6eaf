import { changeFields } from "../../authority/change-fields.ts";
import {
  type Action,
  actions,
  emptyHead,
  type JournalHead,
  type KeyEnd,
  type MadeChange,
  type Subject,
  type TakeawayAction,
} from "../../authority/journal.ts";
import { isTokenId } from "../../authority/key.ts";
import { isAccount } from "../../authority/validation.ts";

/** A change that takes something away from keys, or gives it back: what a restore does again, in order. */
export type Takeaway = {
  readonly action: TakeawayAction;
  readonly subject: Subject;
  readonly ends: readonly KeyEnd[];
  readonly atMs: number;
  readonly caller: string;
  readonly reason: string;
};

/** What a line of a revocation log, or a log line of a change, says of the journal. */
export type JournalLine = {
  /** The line says that no change after this revision and before `revision` is a takeaway. */
  readonly after: number;
  readonly revision: number;
  /** Lower-case hexadecimal. */
  readonly hash: string;
  /** Null when this revision took nothing away and gave nothing back, or when another line says what. */
  readonly takeaway: Takeaway | null;
  /** Whose log it is, which only the first line says. */
  readonly authority: string | null;
};

// The line of a change names its action; before there was such a line, that of the call named its RPC.

const service = "casapay.token.v1.TokenService/";

/** The line of a revocation log for one takeaway, the newest before it in that log being `after`. */
export function takeawayLine(after: number, change: MadeChange): string {
  return `${JSON.stringify({ after, time: change.atMs, ...changeFields(change) })}\n`;
}

/**
 * The line that says how far a revocation log reaches: there is no takeaway between `after` and this change, nor is it
 * one.
 */
export function headLine(after: number, head: JournalHead): string {
  return `${JSON.stringify(reached(after, head))}\n`;
}

/** The first line of a log. */
export function firstLine(authority: string): string {
  return `${JSON.stringify({ ...reached(0, emptyHead), authority })}\n`;
}

function reached(after: number, { revision, hash }: JournalHead): object {
  return { after, revision, hash: Buffer.from(hash).toString("hex") };
}

/**
 * Reads a line of a revocation log. Null for any other text, and for a line of a newer release that takes away or gives
 * back what this one does not know of.
 */
export function parseJournalLine(text: string): JournalLine | null {
  const value = parseJson(text);
  return isObject(value) ? toJournalLine(value) : null;
}

type Fields = Readonly<Record<string, unknown>>;

/** What the fields say of a change. Null when they do not say it as this program does. */
export function toJournalLine(fields: Fields): JournalLine | null {
  const { after, revision, authority } = fields;
  const hash = fields["hash"] ?? fields["head"];
  if (!isWhole(revision) || !isHash(hash) || ("hash" in fields && "head" in fields)) {
    return null;
  }
  if (revision === 0) {
    return isText(authority) ? { after: 0, revision, hash, takeaway: null, authority } : null;
  }
  const isFromLog = after !== undefined;
  if (isFromLog && !(isWhole(after) && after < revision)) {
    return null;
  }
  const action = actionOf(fields, isFromLog);
  // The hash of what older releases would take for something else has another name.
  const mustBeHead = action !== null && action !== "create" && action !== "revoke" && action !== "attest";
  if (mustBeHead !== "head" in fields || (!isFromLog && action === null)) {
    return null;
  }
  const line = { after: isFromLog ? after : revision - 1, revision, hash, authority: null };
  if (action === null || action === "create" || action === "attest") {
    return { ...line, takeaway: null };
  }
  const takeaway = takeawayIn(action, fields);
  return takeaway === null ? null : { ...line, takeaway };
}

function takeawayIn(action: TakeawayAction, fields: Fields): Takeaway | null {
  const { time, caller, reason } = fields;
  const subject = subjectIn(action, fields);
  const ends = endsIn(action, fields["ends"]);
  if (subject === null || ends === null || !isText(caller) || !isWhole(time)) {
    return null;
  }
  // In the log line of a call it is why that failed: CALL_CANCELED, where the caller did not wait for its answer.
  const why = "rpc" in fields || !isText(reason) ? "" : reason;
  return { action, subject, ends, atMs: time, caller, reason: why };
}

function subjectIn(action: TakeawayAction, { token_id, account }: Fields): Subject | null {
  if (isText(token_id) && isTokenId(token_id) && account === undefined) {
    return action === "close" ? null : { tokenId: token_id };
  }
  const isOfAccounts = action === "hold" || action === "resume" || action === "close";
  return isOfAccounts && token_id === undefined && isText(account) && isAccount(account) ? { account } : null;
}

/** Only changes of keys have ends. A rotation has none where no key was left to end. */
function endsIn(action: TakeawayAction, ends: unknown): readonly KeyEnd[] | null {
  const mustHave = action === "end_key" || action === "cancel_rotation";
  if (ends === undefined) {
    return mustHave ? null : [];
  }
  if (!mustHave && action !== "rotate_key") {
    return null;
  }
  if (!Array.isArray(ends) || ends.length === 0) {
    return null;
  }
  const all = ends.map(endIn);
  return all.every((end) => end !== null) ? all : null;
}

function endIn(value: unknown): KeyEnd | null {
  if (!isObject(value)) {
    return null;
  }
  const { digest, ends_at } = value;
  return isHash(digest) && (ends_at === null || isWhole(ends_at))
    ? { digest: Buffer.from(digest, "hex"), endsAtMs: ends_at }
    : null;
}

/** Null in a line that says how far a log reaches, and where no change of ours is told of. */
function actionOf(fields: Fields, isFromLog: boolean): Action | null {
  const { action, rpc, token_id } = fields;
  const known = actions.find((one) => one === action);
  if (known !== undefined) {
    return known;
  }
  if (isFromLog) {
    // Before there were other actions, a line with a token's id was of a revocation.
    return token_id === undefined ? null : "revoke";
  }
  return rpc === `${service}Revoke` ? "revoke" : rpc === `${service}Create` ? "create" : null;
}

/** The value that the text is in JSON, or undefined. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isHash(value: unknown): value is string {
  return isText(value) && /^[0-9a-f]{64}$/.test(value);
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
