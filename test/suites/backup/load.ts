import { randomUUID } from "node:crypto";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { TokenClient } from "../support/token-client.ts";

const concurrency = 8;

export type Load = AsyncDisposable & {
  readonly created: readonly { readonly id: string; readonly key: string }[];
  /** Keys whose revocation was answered. */
  readonly revoked: readonly string[];
  /** The longest call since this was asked last, in ms, and how many calls there were. */
  takeLongest(): { readonly calls: number; readonly longestMs: number };
};

/** Creates, revokes and authenticates, several calls at once, until disposed; then it rejects if a call has failed. */
export function startLoad(client: TokenClient): Load {
  const created: { readonly id: string; readonly key: string }[] = [];
  const revoked: string[] = [];
  let isOver = false;
  let longestMs = 0;
  let calls = 0;

  async function timed<T>(call: Promise<T>): Promise<T> {
    const startMs = performance.now();
    const answer = await call;
    longestMs = Math.max(longestMs, performance.now() - startMs);
    calls += 1;
    return answer;
  }

  async function work(): Promise<void> {
    while (!isOver) {
      const request = { account: `a_${randomUUID()}`, name: "backup", type: TokenType.SECRET };
      const { token, key } = await timed(client.call(TokenService.method.create, request));
      const id = token?.id ?? "";
      created.push({ id, key });
      await timed(client.call(TokenService.method.authenticate, { key }));
      if (created.length % 3 === 0) {
        await timed(client.call(TokenService.method.revoke, { id }));
        revoked.push(key);
      }
    }
  }

  const working = Promise.all(Array.from({ length: concurrency }, work));
  // Told when it is disposed.
  working.catch(() => {});
  return {
    created,
    revoked,
    takeLongest() {
      const taken = { calls, longestMs };
      [calls, longestMs] = [0, 0];
      return taken;
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      await working;
    },
  };
}
