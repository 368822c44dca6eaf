import { randomInt } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const startTimeoutMs = 60_000;

/** Below those that Linux gives to connections: 32768 and up. */
const firstPort = 15_000;
const endPort = 32_000;
const given = new Set<number>();

/**
 * A port of 127.0.0.1 that nobody listens on, and that no connection takes before its server does: not one of those
 * that the system would choose. Each is given once.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(firstPort, endPort);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
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
