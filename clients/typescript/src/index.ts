export type {
  AccountPage,
  Authority,
  BulkRevocation,
  BulkRevoked,
  CallOptions,
  ChangeFilter,
  ChangePage,
  Closure,
  ConnectOptions,
  Hold,
  HoldSubject,
  NewToken,
  Paging,
  Revocation,
  Rotation,
  RotationEnd,
  RotationEnded,
  TokenFilter,
  TokenPage,
} from "./authority.ts";
export { connect } from "./authority.ts";
export type { Decision, DecisionSource, Principal, Question, Refusal, RefusalReason } from "./decision.ts";
export type { StatusCode } from "./errors.ts";
export { AuthorityError, UndecidedError } from "./errors.ts";
export type { Holder, Settlement } from "./settlement.ts";
export type {
  Account,
  AccountState,
  Change,
  ChangeAction,
  CreatedToken,
  Token,
  TokenKey,
  TokenState,
  TokenType,
} from "./token.ts";
export type { Keepalive, MutualTls, Pem } from "./transport.ts";
