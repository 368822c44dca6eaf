import {
  AccountState as AccountStateNumber,
  TokenState as StateNumber,
  TokenType as TypeNumber,
} from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction as ActionNumber, RefusalReason as ReasonNumber } from "#gen/casapay/token/v1/token_service_pb.ts";
import { type Action, actions } from "../../authority/journal.ts";
import type { RefusalReason } from "../../authority/judge.ts";
import { type AccountState, type TokenState, type TokenType, tokenStates, tokenTypes } from "../../authority/token.ts";

/** The numbers that the proto gives to the words of the domain. */
export const numberOfType = {
  secret: TypeNumber.SECRET,
  publishable: TypeNumber.PUBLISHABLE,
  restricted: TypeNumber.RESTRICTED,
} satisfies Record<TokenType, TypeNumber>;

export const numberOfState = {
  active: StateNumber.ACTIVE,
  expired: StateNumber.EXPIRED,
  revoked: StateNumber.REVOKED,
} satisfies Record<TokenState, StateNumber>;

export const numberOfAccountState = {
  active: AccountStateNumber.ACTIVE,
  held: AccountStateNumber.HELD,
  closed: AccountStateNumber.CLOSED,
} satisfies Record<AccountState, AccountStateNumber>;

export const numberOfAction = {
  create: ActionNumber.CREATE,
  revoke: ActionNumber.REVOKE,
  rotate_key: ActionNumber.ROTATE_KEY,
  end_key: ActionNumber.END_KEY,
  cancel_rotation: ActionNumber.CANCEL_ROTATION,
  hold: ActionNumber.HOLD,
  resume: ActionNumber.RESUME,
  close: ActionNumber.CLOSE,
  attest: ActionNumber.ATTEST,
} satisfies Record<Action, ActionNumber>;

export const numberOfReason = {
  KEY_MALFORMED: ReasonNumber.KEY_MALFORMED,
  KEY_UNKNOWN: ReasonNumber.KEY_UNKNOWN,
  TOKEN_REVOKED: ReasonNumber.TOKEN_REVOKED,
  TOKEN_EXPIRED: ReasonNumber.TOKEN_EXPIRED,
  LIVEMODE_MISMATCH: ReasonNumber.LIVEMODE_MISMATCH,
  TYPE_NOT_ALLOWED: ReasonNumber.TYPE_NOT_ALLOWED,
  INSUFFICIENT_PERMISSIONS: ReasonNumber.INSUFFICIENT_PERMISSIONS,
  KEY_RETIRED: ReasonNumber.KEY_RETIRED,
  TOKEN_HELD: ReasonNumber.TOKEN_HELD,
  ACCOUNT_HELD: ReasonNumber.ACCOUNT_HELD,
  ACCOUNT_CLOSED: ReasonNumber.ACCOUNT_CLOSED,
} satisfies Record<RefusalReason, ReasonNumber>;

/** The words by their numbers; undefined at a number that has none. */
export const typeOfNumber = wordsByNumber(tokenTypes, numberOfType);
export const stateOfNumber = wordsByNumber(tokenStates, numberOfState);
export const actionOfNumber = wordsByNumber(actions, numberOfAction);

function wordsByNumber<Word extends string>(
  words: readonly Word[],
  numberOf: Readonly<Record<Word, number>>,
): readonly (Word | undefined)[] {
  const byNumber: Word[] = [];
  for (const word of words) {
    byNumber[numberOf[word]] = word;
  }
  return byNumber;
}
