import { timestampDate } from "@bufbuild/protobuf/wkt";
import { HolderKind, type Holder as HolderMessage } from "../gen/casapay/token/v1/token_service_pb.ts";

/** A program that may decide from memory: a part of the authority itself, or a gateway with a cache. */
export type Holder = {
  readonly kind: "node" | "gateway" | "unknown";
  /** The identity that it called with; of a node, its name. */
  readonly identity: string;
  /** When it was last heard from. Null where that is not known. */
  readonly sinceTime: Date | null;
  /** Until when it may decide as before the change. Null unless it is unconfirmed. */
  readonly untilTime: Date | null;
};

/** What became of those that decide from memory, when a change took something away or gave it back. */
export type Settlement = {
  /** How many have said that they know of the change. */
  readonly acknowledgedCount: number;
  /** Those that said nothing until they could decide from memory no longer: they were waited out. */
  readonly silent: readonly Holder[];
  /**
   * Nodes of the authority that said nothing and may decide as before, each until its `untilTime`: cut off from their
   * database, with a grace that their operator allows. Empty without such a grace.
   */
  readonly unconfirmed: readonly Holder[];
};

export function settlementOf(response: {
  readonly acknowledgedCount: number;
  readonly silent: readonly HolderMessage[];
  readonly unconfirmed: readonly HolderMessage[];
}): Settlement {
  const { acknowledgedCount, silent, unconfirmed } = response;
  return { acknowledgedCount, silent: silent.map(holderOf), unconfirmed: unconfirmed.map(holderOf) };
}

function holderOf({ kind, identity, sinceTime, untilTime }: HolderMessage): Holder {
  return {
    kind: kind === HolderKind.NODE ? "node" : kind === HolderKind.GATEWAY ? "gateway" : "unknown",
    identity,
    sinceTime: sinceTime === undefined ? null : timestampDate(sinceTime),
    untilTime: untilTime === undefined ? null : timestampDate(untilTime),
  };
}
