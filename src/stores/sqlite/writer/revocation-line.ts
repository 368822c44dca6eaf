import { emptyHead, type JournalHead } from "../../../authority/journal.ts";
import { isTokenId } from "../../../authority/key.ts";
import { attestAction } from "../old-hashes.ts";

export type Revocation = {
  readonly head: JournalHead;
  readonly tokenId: string;
  readonly caller: string;
  readonly reason: string;
};

/** A change that takes something away from keys, or gives it back: what a restore does again, in order. */
export type Takeaway = {
  readonly action: "revoke";
  readonly tokenId: string;
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

/** The line of a revocation log for one revocation, the newest before it in that log being `after`. */
export function revocationLine(after: number, { head, tokenId, caller, reason }: Revocation): string {
  return `${JSON.stringify({ ...reached(after, head), time: head.atMs, token_id: tokenId, caller, reason })}\n`;
}

/**
 * The line that says how far a revocation log reaches: there is no revocation between `after` and this change, nor is
 * it one.
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
 * back what this one does not know of: such a line has its hash under another name, so that nobody takes it for a
 * revocation, or for none.
 */
export function parseJournalLine(text: string): JournalLine | null {
  const value = parseJson(text);
  return isObject(value) ? toJournalLine(value) : null;
}

/** What the fields say of a change. Null when they do not say it as this program does. */
export function toJournalLine(fields: Readonly<Record<string, unknown>>): JournalLine | null {
  const { after, revision, hash, time, token_id, caller, reason, authority } = fields;
  const action = actionOf(fields);
  if (!isWhole(revision) || !isText(hash) || !/^[0-9a-f]{64}$/.test(hash)) {
    return null;
  }
  if (revision === 0) {
    return isText(authority) ? { after: 0, revision, hash, takeaway: null, authority } : null;
  }
  const isFromLog = isWhole(after) && after < revision;
  if (!isFromLog && action === null) {
    return null;
  }
  const isRevocation = isFromLog ? token_id !== undefined : action === "revoke";
  if (!isRevocation) {
    return { after: isFromLog ? after : revision - 1, revision, hash, takeaway: null, authority: null };
  }
  if (!isText(token_id) || !isTokenId(token_id) || !isText(caller) || !isWhole(time)) {
    return null;
  }
  // In the log line of a call it is why that failed: CALL_CANCELED, where the caller did not wait for its answer.
  const why = isFromLog && isText(reason) ? reason : "";
  const takeaway = { action: "revoke", tokenId: token_id, atMs: time, caller, reason: why } as const;
  return { after: isFromLog ? after : revision - 1, revision, hash, takeaway, authority: null };
}

function actionOf({
  action,
  rpc,
}: Readonly<Record<string, unknown>>): "create" | "revoke" | typeof attestAction | null {
  if (action === "create" || rpc === `${service}Create`) {
    return "create";
  }
  if (action === attestAction) {
    return action;
  }
  return action === "revoke" || rpc === `${service}Revoke` ? "revoke" : null;
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

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
