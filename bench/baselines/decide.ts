import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { type AuthenticateResponseSchema, RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { digestKey, isKey } from "../../src/authority/key.ts";
import type { TokenType as DomainTokenType } from "../../src/authority/token.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { openReaderDatabase } from "../../src/stores/sqlite/open-database.ts";
import { createLookUp, type LookUp } from "../../src/stores/sqlite/serving/look-up.ts";

const numberOfType = {
  secret: TokenType.SECRET,
  publishable: TokenType.PUBLISHABLE,
  restricted: TokenType.RESTRICTED,
} satisfies Record<DomainTokenType, TokenType>;

/** Look-ups in a data directory, each in a read transaction of its own. */
export function openLookUp(directory: string): LookUp {
  const db = openReaderDatabase(dataFiles(directory).database);
  return createLookUp(db, { changeSignal: () => 0, isLogLong: () => true });
}

/** What a plain service does for Authenticate: one read of the store for each call, and nothing kept in memory. */
export function decide(lookUp: LookUp, key: string): MessageInitShape<typeof AuthenticateResponseSchema> {
  const token = isKey(key) ? lookUp.findByDigest(digestKey(key)) : null;
  if (token === null || token.revokedAtMs !== null || (token.expiresAtMs ?? Number.POSITIVE_INFINITY) <= Date.now()) {
    return { outcome: { case: "refusal", value: { reason: RefusalReason.KEY_UNKNOWN } } };
  }
  const value = {
    tokenId: token.id,
    account: token.account,
    type: numberOfType[token.type],
    livemode: token.livemode,
    permissions: [...token.permissions],
  };
  return {
    outcome: {
      case: "principal",
      value: token.expiresAtMs === null ? value : { ...value, expireTime: timestampFromMs(token.expiresAtMs) },
    },
  };
}
