import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TokenState, TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import type { ListRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { dayMs, type Population, rarePermission } from "../population/seeded-token.ts";

export type ListFilter = {
  readonly name: string;
  readonly request: MessageInitShape<typeof ListRequestSchema>;
};

/** Each filter of List, and those that find little: newest first, a filter for the oldest has everything before it. */
export function listFilters({ nowMs }: Population): readonly ListFilter[] {
  function daysFromNow(days: number) {
    return timestampFromMs(nowMs + days * dayMs);
  }
  return [
    { name: "no filter", request: {} },
    { name: "types: publishable", request: { types: [TokenType.PUBLISHABLE] } },
    { name: "livemode: false", request: { livemode: false } },
    { name: "states: active", request: { states: [TokenState.ACTIVE] } },
    { name: "states: expired", request: { states: [TokenState.EXPIRED] } },
    { name: "states: revoked", request: { states: [TokenState.REVOKED] } },
    { name: "permission: invoices:read", request: { permission: "invoices:read" } },
    {
      name: "permission: of 1 in 10 000, types: restricted",
      request: { permission: rarePermission, types: [TokenType.RESTRICTED] },
    },
    { name: "created in the last 30 days", request: { createdFrom: daysFromNow(-30) } },
    { name: "created before the last 361 days", request: { createdBefore: daysFromNow(-361) } },
    {
      name: "created on one day half a year ago",
      request: { createdFrom: daysFromNow(-181), createdBefore: daysFromNow(-180) },
    },
    { name: "expires_before: in 10 days", request: { expiresBefore: daysFromNow(10) } },
    { name: "unused_since: 300 days ago", request: { unusedSince: daysFromNow(-300) } },
    { name: "none match: created before the first", request: { createdBefore: daysFromNow(-366) } },
  ];
}
