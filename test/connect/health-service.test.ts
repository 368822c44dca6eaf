import { afterEach, describe, expect, it, vi } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import type { Peer } from "../../src/wire/port/peer.ts";
import { eventually, turn } from "../support/eventually.ts";
import { ConnectRig, errorOf, peerOf, protocols, rawRequest, tlsPeer } from "./connect-rig.ts";
import { rawCall } from "./raw-call.ts";

const stranger = tlsPeer("spiffe://casapay/kubelet");

afterEach(() => {
  vi.useRealTimers();
});

/** From here on the test's clock stands still, but where it is told to advance. */
function stopClock(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
}

/** The time after which a Watch looks at the status again. */
async function lookAgain(): Promise<void> {
  await eventually(() => vi.getTimerCount() === 1);
  await vi.advanceTimersByTimeAsync(1000);
}
const services = [
  "",
  "casapay.token.v1.TokenService",
  "envoy.service.auth.v3.Authorization",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

describe.each(protocols)("over %s", (protocol) => {
  it("Check answers SERVING for each service while the store answers, and NOT_SERVING otherwise", async () => {
    await using rig = await ConnectRig.start();
    const client = rig.client(Health, stranger, protocol);
    for (const service of services) {
      rig.isServing = true;
      expect((await client.check({ service })).status).toBe(Status.SERVING);
      rig.isServing = false;
      expect((await client.check({ service })).status).toBe(Status.NOT_SERVING);
    }
    rig.isServing = true;
    rig.shutdown.abort();
    expect((await client.check({})).status).toBe(Status.NOT_SERVING);
  });

  it("Check answers NOT_FOUND for a service that is not here", async () => {
    await using rig = await ConnectRig.start();
    const error = await rig
      .client(Health, stranger, protocol)
      .check({ service: "casapay.Nothing" })
      .catch((e: unknown) => e);
    expect(errorOf(error)).toMatchObject({ code: "NotFound", reason: "SERVICE_NOT_FOUND" });
    expect(errorOf(error).message).not.toContain("casapay.Nothing");
  });

  it("List answers every service", async () => {
    await using rig = await ConnectRig.start();
    const { statuses } = await rig.client(Health, stranger, protocol).list({});
    expect(Object.keys(statuses).toSorted()).toEqual(services.toSorted());
    expect(Object.values(statuses).map(({ status }) => status)).toEqual(services.map(() => Status.SERVING));
  });

  it("Watch tells the status at once, then each change, and NOT_SERVING before it ends at shutdown", async () => {
    await using rig = await ConnectRig.start();
    stopClock();
    const told: Status[] = [];
    const watching = (async () => {
      for await (const { status } of rig.client(Health, stranger, protocol).watch({})) {
        told.push(status);
      }
    })();
    await eventually(() => told.length === 1);
    rig.isServing = false;
    await lookAgain();
    await eventually(() => told.length === 2);
    rig.isServing = true;
    await lookAgain();
    await eventually(() => told.length === 3);
    expect(rig.calls).toEqual([]);
    rig.shutdown.abort();
    await watching;
    expect(told).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]);
    expect(rig.calls).toMatchObject([{ rpc: "grpc.health.v1.Health/Watch", code: "OK" }]);
  });

  it("Watch answers SERVICE_UNKNOWN, and stays", async () => {
    await using rig = await ConnectRig.start();
    stopClock();
    const leaving = new AbortController();
    const stream = rig.client(Health, stranger, protocol).watch({ service: "nothing" }, { signal: leaving.signal });
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.status).toBe(Status.SERVICE_UNKNOWN);
    const ended = vi.fn();
    const next = iterator.next().then(ended, ended);
    await lookAgain();
    await turn();
    expect(ended).not.toHaveBeenCalled();
    leaving.abort();
    await next;
  });

  it("Watch ends at the caller's own deadline", async () => {
    await using rig = await ConnectRig.start();
    const request = rawCall(protocol, "json", "/grpc.health.v1.Health/Watch", "{}");
    const contentType = protocol === "connect" ? { "content-type": "application/connect+json" } : request.header;
    const body = rawCall("grpc", "json", "", "{}").body ?? "";
    const header = { ...contentType, "grpc-timeout": "50m", "connect-timeout-ms": "50" };
    await rig.send({ path: request.path, body, header, peer: stranger });
    expect(rig.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED", protocol }]);
  });

  it("Watch answers a refusal as it answers every error: as a stream, the status last", async () => {
    await using rig = await ConnectRig.start();
    const header = { "content-type": protocol === "connect" ? "application/connect+json" : `application/${protocol}` };
    const path = "/grpc.health.v1.Health/Watch";
    const refused = await rig.handle(rawRequest({ path, header, peer: tlsPeer(null) }));
    const malformed = await rig.handle(
      rawRequest({ path, header: { ...header, "grpc-timeout": "x", "connect-timeout-ms": "x" }, peer: stranger }),
    );
    for (const response of [refused, malformed]) {
      expect(response.body).not.toBeInstanceOf(Uint8Array);
      expect(new Headers(response.header).has("grpc-status")).toBe(false);
      expect(response.trailer !== undefined).toBe(protocol === "grpc");
      expect(response.body).toBeDefined();
    }
    expect(rig.calls).toMatchObject([{ code: "UNAUTHENTICATED" }, { code: "INVALID_ARGUMENT" }]);
  });

  it("Watch needs its one message", async () => {
    await using rig = await ConnectRig.start();
    const type = protocol === "connect" ? "application/connect+json" : `application/${protocol}+json`;
    const path = "/grpc.health.v1.Health/Watch";
    await rig.send({ path, header: { "content-type": type }, peer: stranger });
    expect(rig.calls.at(-1)).toMatchObject({ code: "UNIMPLEMENTED", reason: "REQUEST_NOT_SUPPORTED" });
    await rig.send({
      path,
      header: { "content-type": type },
      peer: stranger,
      body: rawCall("grpc", "json", "", "{").body ?? "",
    });
    expect(rig.calls.at(-1)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "REQUEST_MALFORMED" });
  });
});

describe("streams", () => {
  const watch = (signal?: AbortSignal) =>
    rawRequest({
      ...rawCall("grpc", "json", "/grpc.health.v1.Health/Watch", "{}"),
      peer: stranger,
      ...(signal === undefined ? {} : { signal }),
    });

  it("are bounded in number, and a client that leaves gives its place back", async () => {
    await using rig = await ConnectRig.start();
    const leaving = new AbortController();
    for (let open = 0; open < 100; open += 1) {
      await rig.handle(watch(leaving.signal));
    }
    await rig.send({ ...rawCall("grpc", "json", "/grpc.health.v1.Health/Watch", "{}"), peer: stranger });
    expect(rig.calls).toMatchObject([{ code: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_STREAMS" }]);
    leaving.abort();
    expect(rig.calls).toHaveLength(101);
    const { body } = await rig.handle(watch());
    const iterator = body === undefined || body instanceof Uint8Array ? undefined : body[Symbol.asyncIterator]();
    expect((await iterator?.next())?.done).toBe(false);
    expect(rig.calls).toHaveLength(101);
    await iterator?.return?.();
  });

  it("of callers without a role take no place of a caller that has one, nor one such caller those of another", async () => {
    await using rig = await ConnectRig.start();
    const open = async (peer: Peer) => {
      const { body } = await rig.handle({ ...watch(), peer });
      const answers = body === undefined || body instanceof Uint8Array ? undefined : body[Symbol.asyncIterator]();
      await answers?.next();
      return rig.calls.at(-1)?.reason ?? null;
    };
    for (let at = 0; at < 100; at += 1) {
      expect(await open(tlsPeer(`spiffe://casapay/nobody-${at}`))).toBeNull();
    }
    for (let at = 0; at < 100; at += 1) {
      expect(await open(peerOf("gateway"))).toBeNull();
    }
    expect(await open(peerOf("operator"))).toBeNull();
    expect(await open(tlsPeer("spiffe://casapay/one-more"))).toBe("TOO_MANY_STREAMS");
    expect(await open(peerOf("gateway"))).toBe("TOO_MANY_STREAMS");
  });

  it("end as soon as the reader of the answer wants no more", async () => {
    await using rig = await ConnectRig.start();
    const { body } = await rig.handle(watch());
    if (body === undefined || body instanceof Uint8Array) {
      throw new Error("no stream");
    }
    const iterator = body[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    await iterator.return?.();
    await waiting;
    expect(rig.calls).toMatchObject([{ code: "CANCELLED" }]);
  });
});
