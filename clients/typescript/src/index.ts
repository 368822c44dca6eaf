export type {
  AccountPage,
  Authority,
  CallOptions,
  ChangeFilter,
  ChangePage,
  ConnectOptions,
  NewToken,
  Paging,
  Revocation,
  TokenFilter,
  TokenPage,
} from "./authority.ts";
export { connect } from "./authority.ts";
export type { Decision, DecisionSource, Principal, Question, Refusal, RefusalReason } from "./decision.ts";
export type { StatusCode } from "./errors.ts";
export { AuthorityError, UndecidedError } from "./errors.ts";
export type { Account, Change, ChangeAction, CreatedToken, Token, TokenState, TokenType } from "./token.ts";
export type { Keepalive, MutualTls, Pem } from "./transport.ts";
