import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { createAccountPlaces } from "../../src/doors/rest/account-places.ts";
import { RestRig } from "./rest-rig.ts";

/** A client that takes nothing of a body until it is told to. */
function connectIdle(rig: RestRig): ClientHttp2Session {
  return connect(`http://${rig.server.restAddress}`, { settings: { initialWindowSize: 0 } });
}

function ask(session: ClientHttp2Session, method: string, path: string, key: string): ClientHttp2Stream {
  const header = { ":method": method, ":path": path, authorization: `Bearer ${key}` };
  return session.request(header, { endStream: true }).resume();
}

function answered(stream: ClientHttp2Stream): Promise<unknown> {
  return new Promise((resolve, reject) => {
    stream.once("response", (header) => resolve(header[":status"])).once("error", reject);
  });
}

/** Asks ten times, takes nothing of the answers, and returns once four have begun. */
async function hoardAnswers(rig: RestRig, path: string, key: string) {
  const session = connectIdle(rig);
  let begun = 0;
  const answers = Array.from({ length: 10 }, () =>
    answered(ask(session, "GET", path, key)).then((status) => {
      begun += 1;
      return status;
    }),
  );
  await expect.poll(() => begun).toBe(4);
  return {
    begun: () => begun,
    async take(): Promise<readonly unknown[]> {
      session.settings({ initialWindowSize: 65_535 });
      const statuses = await Promise.all(answers);
      session.destroy();
      return statuses;
    },
  };
}

describe("requests of an account", () => {
  it("are four at once, until the last byte is taken; others and revocations do not wait for them", async () => {
    await using rig = await RestRig.start();
    const [leaked, own] = [await rig.issue(), await rig.issue()];
    const other = await rig.issue({ account: "acct_2" });
    const hoard = await hoardAnswers(rig, "/v1/tokens", leaked.key);
    const client = connectIdle(rig);
    expect(await answered(ask(client, "GET", "/v1/tokens", other.key))).toBe(200);
    expect(await answered(ask(client, "POST", `/v1/tokens/${leaked.id}/revoke`, own.key))).toBe(200);
    expect(hoard.begun()).toBe(4);
    // The places come free as the client takes what it asked for. Its key is judged anew when its turn has come.
    expect((await hoard.take()).toSorted()).toEqual([...Array(4).fill(200), ...Array(6).fill(401)]);
    client.destroy();
  });

  it("do not wait for those who have a publishable key, which anybody has, and ask for its token", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const published = await rig.issue({ type: TokenType.PUBLISHABLE });
    const hoard = await hoardAnswers(rig, "/v1/tokens/self", published.key);
    expect(await rig.codeOf("GET", "/v1/tokens", { key })).toBe("200 ok");
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key })).toBe("200 ok");
    expect(await rig.codeOf("POST", `/v1/tokens/${published.id}/revoke`, { key })).toBe("200 ok");
    expect(hoard.begun()).toBe(4);
    expect((await hoard.take()).toSorted()).toEqual([...Array(4).fill(200), ...Array(6).fill(401)]);
  });

  it("give their places back when their client goes", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const hoarder = connectIdle(rig);
    await Promise.all(Array.from({ length: 4 }, () => answered(ask(hoarder, "GET", "/v1/tokens", key))));
    hoarder.destroy();
    expect(await rig.codeOf("GET", "/v1/tokens", { key })).toBe("200 ok");
  });
});

describe("places of an account", () => {
  it("go to those who wait, in order, and one too many that waits is refused", async () => {
    const places = createAccountPlaces(1, 2);
    const { signal } = new AbortController();
    const leave = await places.take("acct_1", signal);
    const order: number[] = [];
    const waiting = [1, 2].map(async (number) => {
      const leaveAgain = await places.take("acct_1", signal);
      order.push(number);
      leaveAgain();
    });
    await expect(places.take("acct_1", signal)).rejects.toMatchObject({ told: { status: 429, code: "rate_limited" } });
    (await places.take("acct_2", signal))();
    leave();
    leave();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2]);
  });

  it("are not taken by whoever has given up", async () => {
    const places = createAccountPlaces(1, 2);
    const { signal } = new AbortController();
    const leave = await places.take("acct_1", signal);
    const impatient = new AbortController();
    const given = places.take("acct_1", impatient.signal);
    impatient.abort();
    await expect(given).rejects.toThrow();
    const next = places.take("acct_1", signal);
    leave();
    (await next)();
  });
});
