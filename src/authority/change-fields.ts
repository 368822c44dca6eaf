import type { MadeChange } from "./journal.ts";

/**
 * What a line says of a change: the revocation log's line, and the log line of the change. `ends` is left out where no
 * key has another end than before, and `reason` where none was given.
 *
 * Releases that knew of creations and revocations alone take any line with a token's id and a `hash` for a revocation.
 * So that they refuse the line of another change, its hash is called `head`.
 */
export function changeFields({ action, subject, revision, hash, ends, caller, reason }: MadeChange) {
  const text = Buffer.from(hash).toString("hex");
  return {
    revision,
    ...(action === "create" || action === "revoke" || action === "attest" ? { hash: text } : { head: text }),
    action,
    ...("tokenId" in subject ? { token_id: subject.tokenId } : { account: subject.account }),
    ...(ends.length === 0 ? {} : { ends: ends.map(toFields) }),
    caller,
    ...(reason === "" ? {} : { reason }),
  };
}

function toFields({ digest, endsAtMs }: MadeChange["ends"][number]) {
  return { digest: Buffer.from(digest).toString("hex"), ends_at: endsAtMs };
}
