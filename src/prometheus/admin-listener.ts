import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { Log } from "../authority/log.ts";

export type AdminListener = AsyncDisposable & {
  /** Where it listens, with the port that the system chose. */
  readonly address: string;
};

export type AdminOptions = {
  readonly address: { readonly host: string; readonly port: number };
  readonly expose: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Whether calls can be answered now. */
  readonly isReady: () => boolean;
  readonly log: Log;
};

/** Serves /metrics, /livez (the process turns) and /readyz (calls can be answered). Nothing secret is to be had here. */
export async function startAdminListener({ address, expose, isReady, log }: AdminOptions): Promise<AdminListener> {
  const server = createServer(
    { maxHeaderSize: 8192, requestTimeout: 10_000, headersTimeout: 5000 },
    (request, response) => {
      if (request.method !== "GET" && request.method !== "HEAD") {
        answer(response, 405, "only GET and HEAD\n");
        return;
      }
      switch (request.url?.split("?", 1)[0]) {
        case "/metrics":
          expose().then(
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
  server.maxConnections = 100;
  server.on("clientError", (_error, socket) => socket.destroy());

  server.listen(address);
  await once(server, "listening");
  // What cannot be accepted is lost; without a listener it would end the process.
  server.on("error", (err) => log.warn({ err }, "an admin connection could not be accepted"));
  return {
    address: printable(server.address()),
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
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

function printable(address: ReturnType<ReturnType<typeof createServer>["address"]>): string {
  if (address === null || typeof address === "string") {
    return "";
  }
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
