import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Log } from "../../machine/log.ts";
import { createPacedExposition, type Expose } from "./paced-exposition.ts";

const maxConnections = 100;
// A request here is a line and a few fields, and its answer fits what the kernel takes at once.
const headersMs = 2000;
const connectionMs = 15_000;

export type AdminListener = AsyncDisposable & {
  /** Where it listens, with the port that the system chose. */
  readonly address: string;
  /** Connections that were cut since the start because there were too many. */
  refused(): number;
};

export type AdminOptions = {
  readonly address: { readonly host: string; readonly port: number };
  readonly expose: Expose;
  /** Whether calls can be answered now. */
  readonly isReady: () => boolean;
  readonly log: Log;
};

/**
 * Serves /metrics, /livez (the process turns) and /readyz (calls can be answered). Nothing secret is to be had here.
 *
 * A connection has one answer. Of too many connections the oldest is cut, never the newest, so that a probe is answered
 * within the turn in which its request is read, whatever others hold or wait for.
 */
export async function startAdminListener({ address, expose, isReady, log }: AdminOptions): Promise<AdminListener> {
  const exposePaced = createPacedExposition(expose);
  const server = createServer(
    {
      maxHeaderSize: 8192,
      headersTimeout: headersMs,
      requestTimeout: headersMs,
      connectionsCheckingInterval: 500,
    },
    (request, response) => {
      if (request.method !== "GET" && request.method !== "HEAD") {
        response.setHeader("allow", "GET, HEAD");
        answer(response, 405, "only GET and HEAD\n");
        return;
      }
      switch (request.url?.split("?", 1)[0]) {
        case "/metrics":
          exposePaced().then(
            ({ contentType, text }) => answer(response, 200, text, contentType),
            (error) => {
              log.error({ err: error }, "metrics could not be read");
              answer(response, 500, "metrics could not be read\n");
            },
          );
          return;
        case "/livez":
          answer(response, 200, "alive\n");
          return;
        case "/readyz":
          answer(response, isReady() ? 200 : 503, isReady() ? "ready\n" : "not ready\n");
          return;
        default:
          answer(response, 404, "there are /metrics, /livez and /readyz\n");
      }
    },
  );
  // In the order in which they came.
  const connections = new Set<Socket>();
  let refused = 0;
  server.on("connection", (socket) => {
    connections.add(socket);
    const timer = setTimeout(() => socket.destroy(), connectionMs);
    socket.once("close", () => {
      clearTimeout(timer);
      connections.delete(socket);
    });
    const [oldest] = connections;
    if (connections.size > maxConnections && oldest !== undefined) {
      refused += 1;
      connections.delete(oldest);
      oldest.destroy();
    }
  });
  server.on("clientError", (_error, socket) => socket.destroy());

  server.listen(address);
  await once(server, "listening");
  // What cannot be accepted is lost; without a listener it would end the process.
  server.on("error", (err) => log.warn({ err }, "an admin connection could not be accepted"));
  return {
    address: printable(server.address()),
    refused: () => refused,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer(
  response: ServerResponse,
  status: number,
  text: string,
  contentType = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(text),
    connection: "close",
  });
  response.end(text);
}

function printable(address: ReturnType<ReturnType<typeof createServer>["address"]>): string {
  if (address === null || typeof address === "string") {
    return "";
  }
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
