import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Peer } from "../authority/caller.ts";
import { type Connection, type ConnectionContext, lingerMs } from "./connection.ts";
import { answerHttp2Stream } from "./http2-exchange.ts";

/** Speaks HTTP/2 (RFC 9113) on a socket whose preface is yet unread. */
export function serveHttp2(socket: Socket, peer: Peer, context: ConnectionContext): Connection {
  const { limits } = context;
  const session = performServerHandshake(socket, {
    maxSessionMemory: limits.sessionMemoryMb,
    maxHeaderListPairs: limits.maxHeaderCount,
    streamResetBurst: limits.streamResetBurst,
    streamResetRate: limits.streamResetsPerSecond,
    settings: {
      enablePush: false,
      maxConcurrentStreams: limits.maxConcurrentStreams,
      initialWindowSize: limits.streamWindowBytes,
      maxHeaderListSize: limits.maxHeaderBytes,
    },
  });
  const state = new SessionState(session, socket, context);
  session.on("stream", (stream: ServerHttp2Stream, _fields, _flags, rawHeaders: readonly string[]) => {
    state.streamOpened();
    stream.on("close", () => state.streamClosed());
    answerHttp2Stream(stream, rawHeaders, peer, context);
  });
  // A broken peer ends its own connection and is nobody else's concern: the socket is destroyed with the session.
  session.on("error", ignore);
  session.once("remoteSettings", () => state.settingsReceived());
  session.once("close", () => state.closed());
  return { closeGracefully: () => state.closeGracefully() };
}

/** The times of one session. None of them destroys it from inside one of its streams' events. */
class SessionState {
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  readonly #context: ConnectionContext;
  readonly #handshakeTimer: NodeJS.Timeout;
  readonly #idleTimer: NodeJS.Timeout;
  readonly #pingTimer: NodeJS.Timeout;
  #pongTimer: NodeJS.Timeout | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;
  #openStreams = 0;

  constructor(session: ServerHttp2Session, socket: Socket, context: ConnectionContext) {
    this.#session = session;
    this.#socket = socket;
    this.#context = context;
    const { limits } = context;
    this.#handshakeTimer = setTimeout(() => socket.destroy(), limits.handshakeMs);
    this.#idleTimer = setTimeout(() => this.#idle(), limits.idleMs);
    this.#pingTimer = setInterval(() => this.#ping(), limits.pingIntervalMs);
  }

  settingsReceived(): void {
    clearTimeout(this.#handshakeTimer);
  }

  streamOpened(): void {
    this.#openStreams += 1;
  }

  streamClosed(): void {
    this.#openStreams -= 1;
    this.#idleTimer.refresh();
    if (this.#session.closed) {
      this.#linger();
    }
  }

  closeGracefully(): void {
    if (!this.#session.destroyed) {
      this.#session.close();
      this.#linger();
    }
  }

  closed(): void {
    clearTimeout(this.#handshakeTimer);
    clearTimeout(this.#idleTimer);
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    clearTimeout(this.#lingerTimer);
  }

  #idle(): void {
    if (this.#openStreams > 0) {
      this.#idleTimer.refresh();
    } else {
      this.closeGracefully();
    }
  }

  // A session that closed gracefully waits for its peer to close the socket, and a peer may never do so.
  #linger(): void {
    if (this.#openStreams === 0) {
      this.#lingerTimer ??= setTimeout(() => this.#socket.destroy(), lingerMs);
    }
  }

  #ping(): void {
    if (this.#session.destroyed || this.#session.closed || this.#pongTimer !== undefined) {
      return;
    }
    this.#pongTimer = setTimeout(() => this.#socket.destroy(), this.#context.limits.pingTimeoutMs);
    const sent = this.#session.ping((error) => {
      // Only an answer counts: a ping that is cancelled leaves the timer to run.
      if (error === null) {
        clearTimeout(this.#pongTimer);
        this.#pongTimer = undefined;
      }
    });
    if (!sent) {
      this.#socket.destroy();
    }
  }
}

function ignore(): void {}
