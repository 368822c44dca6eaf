import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, it, vi } from "vitest";
import { callHttp2, closed, connectRaw, startRig } from "../http/http-rig.ts";
import { stopClock } from "../http/stop-clock.ts";
import { eventually } from "../support/eventually.ts";
import { clientOptions, openTls, openTlsSession, startTlsRig } from "./tls-rig.ts";

const gateway = [{ uri: "spiffe://casapay/gateway" }];
const get = { ":path": "/" };

afterEach(() => {
  vi.useRealTimers();
});

describe("peers without an identity", () => {
  it("are counted apart: the oldest of too many is cut, and no caller that has one", async () => {
    await using rig = await startTlsRig({ limits: { maxConnections: 1, maxStrangers: 2 } });
    const oldest = await openTlsSession(rig, null);
    const oldestCut = once(oldest, "close");
    await using caller = await openTlsSession(rig, rig.clientAuthority.issue({ names: gateway }));
    const others = [await openTlsSession(rig, null), await openTlsSession(rig, null)];
    await oldestCut;
    expect((await callHttp2(caller, get)).body).toContain("spiffe://casapay/gateway");
    for (const other of others) {
      expect((await callHttp2(other, get)).body).toContain("CERTIFICATE_MISSING");
      other.destroy();
    }
    expect(rig.http.listener.counts()).toMatchObject({ refused: 1 });
  });

  it("are told so, and cut after their time, over HTTP/2 and HTTP/1.1; callers stay", async () => {
    stopClock();
    await using rig = await startTlsRig({ limits: { strangerMs: 500 } });
    await using caller = await openTlsSession(rig, rig.clientAuthority.issue({ names: gateway }));
    const stranger = await openTlsSession(rig, null);
    const silent = await openTls(rig, clientOptions(rig, null));
    expect((await callHttp2(stranger, get)).body).toContain("CERTIFICATE_MISSING");
    const cut = Promise.all([once(stranger, "close"), closed(silent)]);
    vi.advanceTimersByTime(600);
    await cut;
    expect((await callHttp2(caller, get)).body).toContain("spiffe://casapay/gateway");
  });

  it("are granted ten requests over HTTP/2, of a KiB each; callers have what the port grants", async () => {
    await using rig = await startTlsRig();
    await using caller = await openTlsSession(rig, rig.clientAuthority.issue({ names: gateway }));
    await using stranger = await openTlsSession(rig, null);
    await Promise.all([caller, stranger].map((session) => callHttp2(session, get)));
    const granted = ({ remoteSettings }: typeof caller) => [
      remoteSettings.maxConcurrentStreams,
      remoteSettings.initialWindowSize,
    ];
    expect(granted(stranger)).toEqual([10, 1024]);
    expect(granted(caller)).toEqual([1000, 65_535]);
  });
});

describe("handshakes", () => {
  it("begin at a pace, the first of each address before the second of any", async () => {
    await using rig = await startTlsRig({ limits: { handshakesPerSecond: 20, maxHandshakeBurst: 1 } });
    const finished: string[] = [];
    const shake = async (localAddress: string) => {
      const options = { host: "127.0.0.1", servername: "localhost", port: rig.http.port, localAddress };
      const socket = connectTls({ ...options, ...clientOptions(rig, null) });
      await once(socket, "secureConnect");
      finished.push(localAddress);
      socket.destroy();
    };
    const crowd = Array.from({ length: 10 }, () => shake("127.0.0.1"));
    await eventually(() => rig.http.listener.counts().handshaking >= 8);
    const last = shake("127.0.0.2");
    await Promise.all([...crowd, last]);
    expect(finished).toHaveLength(11);
    expect(finished.indexOf("127.0.0.2")).toBeLessThan(7);
  });

  it("of the address that has most of too many are cut, never those of another", async () => {
    await using rig = await startRig({ limits: { maxHandshakes: 3 } });
    const opened = async (localAddress: string, expected: number) => {
      const socket = await connectRaw(rig.port, { localAddress });
      socket.resume();
      await eventually(() => rig.listener.counts().open >= expected);
      return socket;
    };
    const alone = await opened("127.0.0.2", 1);
    const crowd = [await opened("127.0.0.1", 2), await opened("127.0.0.1", 3)];
    for (let at = 0; at < 3; at += 1) {
      crowd.push(await opened("127.0.0.1", 3));
      await closed(crowd[at] ?? alone);
    }
    expect(alone.destroyed).toBe(false);
    alone.destroy();
  });
});
