import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";

/** The API behind a gateway, which remembers what came through. */
export type Upstream = AsyncDisposable & {
  /** The requests so far: header fields as they came, names in lower case. */
  readonly requests: (readonly (readonly [name: string, value: string])[])[];
};

/** Answers 200, or the status that the request asks for. */
export async function startUpstream(port: number): Promise<Upstream> {
  const requests: Upstream["requests"] = [];
  const server = createServer({ maxHeaderSize: 256 * 1024 }, (message, response) => {
    requests.push(fieldsOf(message));
    message.resume();
    response.writeHead(Number(message.headers["x-want-status"] ?? 200)).end("upstream");
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function fieldsOf({ rawHeaders }: IncomingMessage): readonly (readonly [string, string])[] {
  return rawHeaders.flatMap((name, at) =>
    at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1] ?? ""] as const] : [],
  );
}

export type ClientAnswer = {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly ms: number;
};

export type ClientRequest = {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string;
};

/** A client of the API, which waits for `timeoutMs` at most. */
export function send(
  port: number,
  { method = "GET", path, headers = {}, body = "" }: ClientRequest,
  timeoutMs = 10_000,
) {
  const startMs = performance.now();
  const fields = Object.entries(headers).map(([name, value]) => [name, typeof value === "string" ? value : [...value]]);
  return new Promise<ClientAnswer>((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const asking = request({
      host: "127.0.0.1",
      port,
      method,
      path,
      headers: Object.fromEntries(fields),
      agent: false,
      signal,
    });
    asking.on("error", reject);
    asking.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("error", reject);
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: text,
          ms: performance.now() - startMs,
        }),
      );
    });
    asking.end(body);
  });
}
