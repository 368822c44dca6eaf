import type { KeyFacts } from "../../authority/journal.ts";

type NotedFacts = {
  readonly issued?: { readonly digest: string; readonly key_hint: string };
  readonly ends?: readonly { readonly key: number; readonly ends_at_ms: number | null }[];
  readonly reason?: string;
};

/** Reads `journal.facts` as this program writes them. Null stands for none. Throws at anything else. */
export function readFacts(text: string | null): KeyFacts & { readonly reason: string | null } {
  const { issued, ends, reason }: NotedFacts = text === null ? {} : JSON.parse(text);
  return {
    issued: issued === undefined ? null : { digest: Buffer.from(issued.digest, "hex"), keyHint: issued.key_hint },
    ends: (ends ?? []).map(({ key, ends_at_ms }) => ({ issueRevision: key, endsAtMs: ends_at_ms })),
    reason: reason ?? null,
  };
}
