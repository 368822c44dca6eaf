import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ShortResponse } from "../exchange.ts";
import type { Connection, Connections } from "../port/connection.ts";
import type { Peer } from "../port/peer.ts";
import { answerHttp1Request, type Http1Context } from "./http1-exchange.ts";
import type { Http1RequestBody } from "./http1-request-body.ts";

/** After the last response, how long the peer has to close before the socket is destroyed. */
const lingerMs = 1_000;
/** Connections that came together do not leave together. */
const ageJitter = 0.1;

/**
 * Speaks HTTP/1.1 (RFC 9112) on sockets that are handed to it. All share one node:http server, which never listens
 * itself.
 */
export function createHttp1Connections(context: Http1Context): Connections {
  const { limits } = context;
  const states = new WeakMap<Duplex, Http1State>();
  const server = createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
    // Judged by us, where an HTTP/1.0 request may go without.
    requireHostHeader: false,
  });
  server.on("request", (request, response) => {
    request.on("error", ignore);
    response.on("error", ignore);
    const state = states.get(request.socket);
    if (state === undefined) {
      request.socket.destroy();
    } else {
      state.enqueue(request, response);
    }
  });
  server.on("clientError", (error: ParseError, socket) => {
    const state = states.get(socket);
    if (state === undefined || isNoHttp(error)) {
      socket.destroy();
    } else {
      state.refuse(error);
    }
  });
  // Without a listener Node closes the connection and the client learns nothing.
  server.on("connect", (_request, socket) => {
    socket.on("error", ignore);
    socket.end(lastResponse("501 Not Implemented"));
    setTimeout(() => socket.destroy(), lingerMs).unref();
  });
  // A client that has sent its last request may close its sending side and wait for the answers. Node would drop them.
  Object.assign(server, { httpAllowHalfOpen: true });
  // node:http watches headersTimeout and requestTimeout only from this event on.
  server.emit("listening");
  return {
    serve(socket, peer) {
      const state = new Http1State(socket, peer, context);
      states.set(socket, state);
      // node:http calls this after a last response. The reset that destroying makes of unread bytes could overtake it
      // (RFC 9112, 9.6).
      socket.destroySoon = () => state.linger();
      server.emit("connection", socket);
      return state;
    },
    async close() {
      server.close(ignore);
    },
  };
}

/** One connection: its requests are answered one after the other, in the order in which they came. */
class Http1State implements Connection {
  readonly #socket: Socket;
  readonly #peer: Peer;
  readonly #context: Http1Context;
  readonly #leavesAtMs: number;
  #queue: Promise<void> = Promise.resolve();
  /** The requests that came and are not answered yet, each with the length of its header. */
  readonly #requests = new Map<IncomingMessage, number>();
  #current: ServerResponse | null = null;
  #body: Http1RequestBody | null = null;
  #idleSinceMs = performance.now();
  #closing = false;
  #refused = false;

  constructor(socket: Socket, peer: Peer, context: Http1Context) {
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    this.#leavesAtMs = performance.now() + context.limits.maxAgeMs * (1 + ageJitter * (2 * Math.random() - 1));
  }

  get heldBytes(): number {
    let bytes = this.#socket.writableLength + (this.#body?.keptBytes ?? 0);
    for (const [request, headerLength] of this.#requests) {
      bytes += headerLength + request.readableLength;
    }
    return bytes;
  }

  get idleSinceMs(): number | null {
    return this.#requests.size === 0 ? this.#idleSinceMs : null;
  }

  enqueue(request: IncomingMessage, response: ServerResponse): void {
    if (this.#requests.size > this.#context.limits.maxPipelinedRequests) {
      this.#socket.destroy();
      return;
    }
    this.#requests.set(request, headerLengthOf(request));
    this.#queue = this.#queue.then(() => this.#answer(request, response));
  }

  closeGracefully(): void {
    this.#closing = true;
    if (this.#requests.size === 0) {
      this.#end();
    } else if (this.#current !== null && !this.#current.headersSent) {
      this.#current.setHeader("connection", "close");
    }
  }

  /** Ends the connection from this side; the peer has a moment to read the last response and close. */
  linger(): void {
    this.#refused = true;
    this.#end();
  }

  /** Answers what is no request, unless a response has begun, and closes. */
  refuse(error: ParseError): void {
    const mayAnswer = this.#requests.size === 0 || (this.#requests.size === 1 && this.#current?.headersSent !== true);
    if (this.#socket.writable && mayAnswer && !this.#refused) {
      this.#refused = true;
      this.#socket.end(this.#refusalOf(error));
      this.#destroySoon();
    } else if (!this.#refused) {
      this.#socket.destroy();
    }
  }

  #refusalOf(error: ParseError): string {
    const status = statusOf(error);
    return error.code === "HPE_HEADER_OVERFLOW"
      ? lastResponse(status, this.#context.refuseLargeHeader(this.#peer, ""))
      : lastResponse(status);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#current = response;
    if (performance.now() >= this.#leavesAtMs) {
      // So that callers find new instances and new certificates. HTTP/2 has an age of its own.
      this.#closing = true;
    }
    if (this.#closing) {
      response.setHeader("connection", "close");
    }
    // What follows a refusal on its connection is never asked.
    if (!this.#refused) {
      await answerHttp1Request(request, response, this.#peer, this.#context, (body) => {
        this.#body = body;
      });
    }
    this.#current = null;
    this.#body = null;
    this.#requests.delete(request);
    this.#idleSinceMs = performance.now();
    if (this.#closing && this.#requests.size === 0) {
      this.#end();
    }
  }

  #end(): void {
    this.#socket.end();
    this.#destroySoon();
  }

  #destroySoon(): void {
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs);
    this.#socket.once("close", () => clearTimeout(timer));
  }
}

function headerLengthOf({ url = "", rawHeaders }: IncomingMessage): number {
  return rawHeaders.reduce((sum, { length }) => sum + length, url.length);
}

type ParseError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

/**
 * Whether what could not be parsed has not even a request line. Its sender speaks another protocol, or HTTP/2 with a
 * preface that is not valid (RFC 9113, 3.4), and would not understand an answer in this one.
 */
function isNoHttp({ code, rawPacket }: ParseError): boolean {
  return code === "HPE_INVALID_METHOD" && !/^\S+ \S+ HTTP\/\d/.test(rawPacket?.toString("latin1", 0, 1024) ?? "");
}

function statusOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return "431 Request Header Fields Too Large";
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return "413 Content Too Large";
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return "408 Request Timeout";
    default:
      return "400 Bad Request";
  }
}

const nothing = { header: {}, body: new Uint8Array(0) };

function lastResponse(status: string, { header, body }: Pick<ShortResponse, "header" | "body"> = nothing): string {
  const fields = Object.entries({ ...header, connection: "close", "content-length": String(body.byteLength) });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `HTTP/1.1 ${status}\r\n${lines}\r\n${Buffer.from(body).toString()}`;
}

function ignore(): void {}
