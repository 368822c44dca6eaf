import { connect } from "node:net";

const connectTimeoutMs = 10_000;
const writeTimeoutMs = 20_000;
const maxReceivedBytes = 4 * 1024 * 1024;

/** A TCP connection that sends whatever it is told, and can wait for what the peer makes of it. */
export type RawConnection = {
  /** Does nothing once the peer has closed. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** Says that nothing more comes. */
  end(): void;
  /** Ends it, whatever the peer thinks of that. */
  destroy(): void;
  isClosed(): boolean;
  received(): Buffer;
  /** Whether the condition came true in time; it is asked when bytes arrive and when the connection closes. */
  waitUntil(condition: () => boolean, timeoutMs: number): Promise<boolean>;
};

export async function openConnection(port: number): Promise<RawConnection> {
  // The two directions end apart from each other: a peer that answers a half-closed connection must do so too.
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  let receivedBytes = 0;
  let wakeUp = Promise.withResolvers<void>();

  function notify(): void {
    wakeUp.resolve();
    wakeUp = Promise.withResolvers();
  }

  socket.on("data", (chunk: Buffer) => {
    receivedBytes += chunk.byteLength;
    if (receivedBytes <= maxReceivedBytes) {
      chunks.push(chunk);
    }
    notify();
  });
  // The peer has ended its half: so do we.
  socket.on("end", () => socket.end());
  // A reset is one way to end a connection.
  socket.on("error", () => socket.destroy());
  for (const event of ["connect", "drain", "close"]) {
    socket.on(event, notify);
  }

  async function waitUntil(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    const timer = setTimeout(notify, timeoutMs);
    const untilMs = performance.now() + timeoutMs;
    while (!condition() && performance.now() < untilMs) {
      await wakeUp.promise;
    }
    clearTimeout(timer);
    return condition();
  }

  await waitUntil(() => !socket.connecting, connectTimeoutMs);
  return {
    async write(bytes) {
      if (socket.writable && !socket.write(bytes)) {
        await waitUntil(() => !socket.writableNeedDrain || socket.destroyed, writeTimeoutMs);
      }
    },
    end() {
      socket.end();
    },
    destroy() {
      socket.destroy();
    },
    isClosed() {
      return socket.closed;
    },
    received() {
      return Buffer.concat(chunks);
    },
    waitUntil,
  };
}
