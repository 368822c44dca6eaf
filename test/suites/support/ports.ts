import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const startTimeoutMs = 60_000;

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Resolves once the port takes connections; rejects when who should listen does not run any more, or takes too long.
 */
export async function waitForPort(port: number, isRunning: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + startTimeoutMs;
  while (!(await answers(port))) {
    if (!isRunning() || performance.now() > deadlineMs) {
      throw new Error(`nobody listens on port ${port}`);
    }
    await sleep(50);
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
