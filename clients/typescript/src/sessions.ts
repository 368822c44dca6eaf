import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { Socket } from "node:net";

export type SessionOptions = {
  /** The scheme and host of all requests: `http://127.0.0.1:50051`. */
  readonly origin: string;
  readonly openSocket: () => Socket;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** The path of streams that stay open while nobody waits for them. */
  readonly backgroundPath: string;
};

/** The connection ended, or could not be had: nothing was answered. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

/** What a background stream has to end in good order when the client closes. */
const lastWordsMs = 250;
/** From the first packet of a connection to the end of its TLS handshake. */
const connectTimeoutMs = 5_000;

/**
 * One HTTP/2 session at a time: the first request opens it, and the first request after its end, or after the peer's
 * GOAWAY, another.
 *
 * It stands in for the one of connect-node 2.2, whose timer pings a session that died under a request: an exception
 * that nobody can catch, and the end of the process.
 */
export class Sessions {
  /** As connect-node names the origin. */
  readonly authority: string;
  readonly #options: SessionOptions;
  readonly #all = new Set<Session>();
  #current: Session | null = null;
  #onLeave: () => void = () => {};

  constructor(options: SessionOptions) {
    this.authority = options.origin;
    this.#options = options;
  }

  /** Opens a stream, as soon as there is a session. Rejects when there is none to be had. */
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ): Promise<ClientHttp2Stream> {
    for (;;) {
      this.#current ??= this.#open();
      const session = this.#current;
      await session.connected;
      if (session.isUsable) {
        const isBackground = path === this.#options.backgroundPath;
        return session.request({ ...headers, ":method": method, ":path": path }, options, isBackground);
      }
      this.#leave(session);
    }
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    for (const session of this.#all) {
      session.noteRead(stream);
    }
  }

  /** Whoever is told of a session that takes no more requests, while those on it go on. */
  onLeave(listener: () => void): void {
    this.#onLeave = listener;
  }

  /** Ends all sessions, and the requests on them. Background streams may say a last word. */
  close(): void {
    for (const session of this.#all) {
      session.end(new ConnectionLost("the client is closed"));
    }
  }

  #open(): Session {
    const session = new Session(this.#options, {
      onLeave: () => {
        this.#leave(session);
        this.#onLeave();
      },
      onEnd: () => this.#all.delete(session),
    });
    this.#all.add(session);
    return session;
  }

  /** Its requests go on; new ones take another. */
  #leave(session: Session): void {
    if (this.#current === session) {
      this.#current = null;
    }
  }
}

type SessionEvents = {
  /** The peer takes no more requests on it. */
  readonly onLeave: () => void;
  readonly onEnd: () => void;
};

class Session {
  /** Rejects when it ends before. */
  readonly connected: Promise<void>;
  readonly #session: ClientHttp2Session;
  readonly #options: SessionOptions;
  /** Background streams do not count. */
  readonly #streams = new Set<ClientHttp2Stream>();
  #backgroundStreams = 0;
  #heardAtMs = performance.now();
  #timer: NodeJS.Timeout;

  constructor(options: SessionOptions, { onLeave, onEnd }: SessionEvents) {
    this.#options = options;
    let resolve: () => void = () => {};
    let reject: (error: Error) => void = () => {};
    this.connected = new Promise<void>((onConnect, onLoss) => {
      resolve = onConnect;
      reject = onLoss;
    });
    // Whoever waits for it is told; when nobody does, nobody needs to be.
    this.connected.catch(() => {});
    // A host that swallows packets, or accepts and then says nothing, would else keep all calls waiting for one
    // connection.
    const tooLong = () => this.destroy(new ConnectionLost(`no connection within ${connectTimeoutMs} ms`));
    this.#timer = setTimeout(tooLong, connectTimeoutMs);
    this.#session = connect(options.origin, { createConnection: options.openSocket });
    this.#session.once("connect", () => {
      resolve();
      this.#heardAtMs = performance.now();
      this.#holdProcess();
      this.#pingLater(options.pingIntervalMs);
    });
    this.#session.once("goaway", () => {
      onLeave();
      if (this.#streams.size + this.#backgroundStreams === 0) {
        this.#session.destroy();
      }
    });
    this.#session.on("error", reject);
    this.#session.once("close", () => {
      clearTimeout(this.#timer);
      reject(new ConnectionLost("the connection was closed"));
      onLeave();
      onEnd();
    });
  }

  get isUsable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  request(
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
    isBackground: boolean,
  ): ClientHttp2Stream {
    const stream = this.#session.request(headers, options);
    if (isBackground) {
      this.#backgroundStreams += 1;
      stream.once("close", () => {
        this.#backgroundStreams -= 1;
      });
      return stream;
    }
    this.#streams.add(stream);
    this.#holdProcess();
    stream.once("close", () => {
      this.#streams.delete(stream);
      this.#holdProcess();
    });
    return stream;
  }

  noteRead(stream: ClientHttp2Stream): void {
    if (stream.session === this.#session) {
      this.#heardAtMs = performance.now();
    }
  }

  /** Ends the requests at once, and itself as soon as its background streams have ended, which must be soon. */
  end(error: Error): void {
    if (this.#backgroundStreams === 0) {
      this.destroy(error);
      return;
    }
    for (const stream of this.#streams) {
      stream.destroy(error);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.destroy(error), lastWordsMs);
    this.#session.ref();
    this.#session.close();
  }

  destroy(error: Error): void {
    this.#session.destroy(error, constants.NGHTTP2_CANCEL);
  }

  /** Only a session with requests keeps the process alive. */
  #holdProcess(): void {
    if (this.#session.destroyed) {
      return;
    }
    if (this.#streams.size > 0) {
      this.#session.ref();
    } else {
      this.#session.unref();
    }
  }

  #pingLater(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ping(), ms).unref();
  }

  /** Asks after silence whether the peer is there, and gives the session up when no answer comes. */
  #ping(): void {
    const { pingIntervalMs, pingTimeoutMs } = this.#options;
    const silentMs = performance.now() - this.#heardAtMs;
    if (silentMs < pingIntervalMs) {
      this.#pingLater(pingIntervalMs - silentMs);
      return;
    }
    if (this.#session.destroyed) {
      return;
    }
    const tooLong = () => this.destroy(new ConnectionLost(`no answer to a PING within ${pingTimeoutMs} ms`));
    this.#timer = setTimeout(tooLong, pingTimeoutMs).unref();
    this.#session.ping((error) => {
      if (error === null) {
        this.#heardAtMs = performance.now();
        this.#pingLater(pingIntervalMs);
      }
    });
  }
}
