import { createRouterTransport } from "@connectrpc/connect";
import { TokenService } from "../gen/casapay/token/v1/token_service_pb.ts";
import { type Authority, authorityOver } from "./authority.ts";
import { createFakeService } from "./fake-service.ts";

export type FakeOptions = {
  /** What the fake takes for now. Default: the machine's clock. */
  readonly now?: () => Date;
};

/** A client whose authority is in this process and in memory. */
export type FakeAuthority = Authority & {
  /** While true, calls fail as in an outage: UNAVAILABLE, after 100 ms. */
  isDown: boolean;
};

/**
 * A client for unit tests: its authority is empty at first, decides as the real one does, and forgets all at the end.
 * Every caller may do everything. It has one page of everything, and refuses filters that it does not know as
 * UNIMPLEMENTED: `account`, `types`, `livemode`, `states` and `permission` of tokens, `tokenId`, `afterRevision` and
 * `oldestFirst` of changes and `prefix` of accounts are known. Changes have no hash and no facts.
 */
export function createFakeAuthority({ now = () => new Date() }: FakeOptions = {}): FakeAuthority {
  const state = { isDown: false };
  const service = createFakeService(now, () => state.isDown);
  const transport = createRouterTransport(({ service: add }) => add(TokenService, service));
  const timeouts = { authenticateTimeoutMs: 100, timeoutMs: 100 };
  const authority = authorityOver({ transport, close: () => {}, onLeave: () => {} }, timeouts);
  return Object.defineProperty(authority, "isDown", {
    get: () => state.isDown,
    set: (isDown: boolean) => {
      state.isDown = isDown;
    },
  }) as FakeAuthority;
}
