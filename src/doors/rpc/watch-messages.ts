import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  ResetReason,
  type WatchRequest as WatchRequestMessage,
  type WatchResponseSchema,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { WatchEvent } from "../../authority/watchers.ts";
import type { WatchRequest } from "../../authority/watching.ts";
import { fromDuration, toDuration } from "./duration.ts";

/** What Watch answers with. */
export type WatchMessage = MessageInitShape<typeof WatchResponseSchema>;

/** A request of Watch as the authority has it. Throws FIELD_INVALID for an age that is none. */
export function fromWatchRequest(message: WatchRequestMessage): WatchRequest {
  return {
    sequence: Number(message.sequence),
    appliedRevision: Number(message.appliedRevision),
    appliedHash: message.appliedHash,
    uses: message.uses.map(({ digest, age, acceptedCount }) => ({
      digest,
      ageMs: fromDuration("uses", age),
      acceptedCount: Number(acceptedCount),
    })),
    release: message.release,
  };
}

const numberOfReset = {
  TOO_FAR_BEHIND: ResetReason.TOO_FAR_BEHIND,
  HISTORY_DIFFERS: ResetReason.HISTORY_DIFFERS,
} as const;

/** What there is to tell as the wire has it. */
export function toWatchMessage(event: WatchEvent): WatchMessage {
  const revision = BigInt(event.revision);
  switch (event.kind) {
    case "forget": {
      const { subject, tokenId, hasMore } = event;
      const what =
        "digest" in subject
          ? { case: "digest" as const, value: subject.digest }
          : { case: "account" as const, value: subject.account };
      return { event: { case: "forget", value: { revision, what, tokenId, more: hasMore } } };
    }
    case "reset":
      return {
        event: { case: "reset", value: { revision, reason: numberOfReset[event.reason], hash: event.hash } },
      };
    case "lease": {
      const { sequence, durationMs, hash } = event;
      const duration = toDuration(durationMs);
      return { event: { case: "lease", value: { sequence: BigInt(sequence), duration, revision, hash } } };
    }
  }
}
