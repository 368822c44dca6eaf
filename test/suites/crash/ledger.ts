import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CreateRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";

export type CreateInit = MessageInitShape<typeof CreateRequestSchema> & {
  readonly account: string;
  /** Empty means none. */
  readonly requestId: string;
};

/** A key that was answered. While a revocation is under way, or its answer was lost, both verdicts are right. */
export type IssuedKey = {
  readonly id: string;
  readonly key: string;
  readonly request: CreateInit;
  state: "live" | "revoking" | "revoked";
  /** The round it last changed in. */
  round: number;
};

/** Something that the server did not stand by. */
export type Fault = { readonly when: "under load" | "after a restart"; readonly text: string };

/** What the server has answered, and so has to stand by. */
export type Ledger = {
  readonly keys: IssuedKey[];
  /** Creates with a request id whose answer was lost. */
  lostCreates: CreateInit[];
  readonly faults: Fault[];
  /** Ids of the tokens whose revocation was answered and has not been looked for in the revocation log yet. */
  answeredRevocations: string[];
  fault(when: Fault["when"], text: string): void;
  count(what: "created" | "retried" | "revoked" | "authenticated"): void;
  summary(): string;
  noteLogLine(line: string): void;
  /** The newest change that a log line has told of, as `verify-journal --head` takes it. */
  loggedHead(): string | null;
};

export function createLedger(): Ledger {
  const counts = { created: 0, retried: 0, revoked: 0, authenticated: 0 };
  const faults: Fault[] = [];
  let logged: { readonly revision: number; readonly hash: string } | null = null;
  return {
    keys: [],
    lostCreates: [],
    answeredRevocations: [],
    faults,
    fault(when, text) {
      faults.push({ when, text });
    },
    count(what) {
      counts[what] += 1;
    },
    summary() {
      const { created, retried, revoked, authenticated } = counts;
      return `${created} creates, ${retried} retried after a lost answer, ${revoked} revokes, ${authenticated} verdicts`;
    },
    noteLogLine(line) {
      const match = /"revision":(\d+),"hash":"([0-9a-f]{64})"/.exec(line);
      if (match?.[2] !== undefined && Number(match[1]) > (logged?.revision ?? 0)) {
        logged = { revision: Number(match[1]), hash: match[2] };
      }
    },
    loggedHead() {
      return logged === null ? null : `${logged.revision}:${logged.hash}`;
    },
  };
}
