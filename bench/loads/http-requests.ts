import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";

export type RequestLatencies = { readonly requests: number; readonly p50Ms: number; readonly p99Ms: number };

/** Makes requests over one HTTP/2 connection, so many at once, for this time. Throws unless all are answered by 200. */
export async function measureRequests(
  address: string,
  headers: Readonly<Record<string, string>>,
  atOnce: number,
  maxMs: number,
): Promise<RequestLatencies> {
  const session = connect(`http://${address}`);
  const latenciesMs: number[] = [];
  try {
    await once(session, "connect");
    const endMs = performance.now() + maxMs;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (performance.now() < endMs) {
          const startMs = performance.now();
          await request(session, headers);
          latenciesMs.push(performance.now() - startMs);
        }
      }),
    );
  } finally {
    session.destroy();
  }
  latenciesMs.sort((a, b) => a - b);
  const quantile = (share: number) => latenciesMs[Math.floor(share * latenciesMs.length)] ?? Number.NaN;
  return { requests: latenciesMs.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

/** Makes requests until one is answered with 200. Rejects with the last answer after half a minute. */
export async function untilAnswered(address: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const endMs = performance.now() + 30_000;
  for (;;) {
    try {
      await measureRequests(address, headers, 1, 1);
      return;
    } catch (error) {
      if (performance.now() > endMs) {
        throw error;
      }
      await sleep(50);
    }
  }
}

async function request(session: ClientHttp2Session, headers: Readonly<Record<string, string>>): Promise<void> {
  const stream = session.request({ ":path": "/", ...headers });
  const [answer] = (await once(stream, "response")) as [Record<string, unknown>];
  if (answer[":status"] !== 200) {
    throw new Error(`a request was answered with ${answer[":status"]}`);
  }
  stream.resume();
  await once(stream, "close");
}
