import type { Duplex } from "node:stream";
import { Account } from "./account.ts";
import { Deadlines } from "./deadlines.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { clientPreface, initialWindowBytes, maxStreamId, Setting } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { Incoming } from "./incoming.ts";
import { Outgoing } from "./outgoing.ts";
import type { ServerParts } from "./server-parts.ts";
import { StreamTable } from "./stream-table.ts";

/** Work done in one turn or over a few: from here on it is worth asking whether the turn is over. */
const countedWork = 64;
/** Payloads of our PINGs. */
const keepalivePing: Buffer = Buffer.from("alive?\0\0", "latin1");
const goAwayPing: Buffer = Buffer.from("leaving\0", "latin1");

/**
 * One connection, from its socket's first byte to its last (RFC 9113). Nothing that the peer sends makes it throw.
 *
 * Reading goes on while there is time in this turn and room for answers: else the socket is paused, and what was read
 * waits.
 */
export class Connection<Context> {
  readonly #socket: Duplex;
  readonly #server: ServerParts<Context>;
  readonly #onClosed: (connection: Connection<Context>) => void;
  readonly #reader: FrameReader;
  readonly #account: Account;
  readonly #table: StreamTable<Context>;
  readonly #outgoing: Outgoing<Context>;
  readonly #incoming: Incoming<Context>;
  readonly #deadlines: Deadlines<Context>;
  #prefaceBytes = 0;
  /** Work since the last turn that we know to have begun. */
  #work = 0;
  #isTurnAwaited = false;
  #isPaused = false;
  #isReading = false;
  /** No more frames are taken: what comes is thrown away until the socket closes. */
  #hasEnded = false;
  #isLeaving = false;
  #saidLastGoAway = false;

  /** `onClosed` hears once the socket has closed. */
  constructor(
    socket: Duplex,
    context: Context,
    server: ServerParts<Context>,
    onClosed: (connection: Connection<Context>) => void,
  ) {
    const { limits } = server;
    this.#socket = socket;
    this.#server = server;
    this.#onClosed = onClosed;
    this.#reader = new FrameReader(limits.maxFrameBytes);
    const account = new Account(limits.maxHeldBytes, server.account);
    this.#account = account;
    this.#table = new StreamTable(account, () => this.#onIdle());
    this.#outgoing = new Outgoing(socket, server.pool, server.account, limits);
    this.#incoming = new Incoming({
      server,
      context,
      account,
      table: this.#table,
      outgoing: this.#outgoing,
      onPingAck: (payload) => {
        if (payload.equals(goAwayPing)) {
          this.#sayLastGoAway();
        }
      },
    });
    this.#deadlines = new Deadlines({
      server,
      table: this.#table,
      outgoing: this.#outgoing,
      incoming: this.#incoming,
      reader: this.#reader,
    });
  }

  /** Says our part of the preface (section 3.4) and begins to read. */
  begin(): void {
    const { limits } = this.#server;
    const { writer } = this.#outgoing;
    writer.settings([
      [Setting.HeaderTableSize, limits.headerTableBytes],
      [Setting.MaxConcurrentStreams, limits.maxConcurrentStreams],
      [Setting.InitialWindowSize, limits.streamWindowBytes],
      [Setting.MaxFrameSize, limits.maxFrameBytes],
      [Setting.MaxHeaderListSize, limits.maxHeaderListBytes],
    ]);
    if (limits.connectionWindowBytes > initialWindowBytes) {
      writer.windowUpdate(0, limits.connectionWindowBytes - initialWindowBytes);
    }
    this.#outgoing.flush();
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#onBytes(chunk));
    socket.on("drain", () => this.#onDrain());
    socket.on("end", () => {
      this.#end("the client closed the connection");
      socket.end();
    });
    socket.on("error", () => this.#end("the connection broke"));
    socket.on("close", () => {
      this.#end("the connection closed");
      this.#onClosed(this);
    });
  }

  /** Finishes what is under way for a peer that takes it, and closes. Saying it again changes nothing. */
  leave(): void {
    this.#deadlines.hurry();
    this.#askToLeave();
  }

  /**
   * Asks the peer to leave: GOAWAY with the highest stream id, and after a round trip GOAWAY with the last stream that
   * we took (section 6.8). The connection closes when those are answered.
   */
  #askToLeave(): void {
    if (this.#isLeaving || this.#hasEnded) {
      return;
    }
    this.#isLeaving = true;
    this.#deadlines.startLeaving();
    const { writer } = this.#outgoing;
    writer.goAway(maxStreamId, ErrorCode.NoError, "");
    writer.ping(goAwayPing, false);
    this.#outgoing.flushSoon();
  }

  /** What it holds for its peer: of requests, what came and was not answered; of answers, what waits to be taken. */
  get heldBytes(): number {
    const { unsentBytes, waitingBodyBytes } = this.#outgoing;
    const ofRequests = this.#account.heldBytes + this.#table.readBytes + this.#reader.unreadBytes;
    return ofRequests + unsentBytes + waitingBodyBytes;
  }

  /** Since when no request is under way, by the server's clock; null while one is. */
  get idleSinceMs(): number | null {
    return this.#table.underWay === 0 ? this.#deadlines.idleSinceMs : null;
  }

  /** Closes at once. Streams under way are aborted. */
  destroy(): void {
    this.#end("the server closed the connection");
    this.#socket.destroy();
  }

  /** Looks at the deadlines. */
  tick(elapsedMs: number): void {
    const { limits } = this.#server;
    if (this.#hasEnded) {
      if (this.#deadlines.isLingeringOver()) {
        this.#socket.destroy();
      }
      return;
    }
    this.#incoming.guard.refill((limits.budgetRefillPerSecond * elapsedMs) / 1_000);
    // Other connections may have made room.
    this.#incoming.openWindow();
    try {
      switch (this.#deadlines.next(this.#isPaused)) {
        case "ping":
          this.#outgoing.writer.ping(keepalivePing, false);
          this.#outgoing.flushSoon();
          break;
        case "leave":
          this.#askToLeave();
          break;
        case "last-goaway":
          this.#sayLastGoAway();
          break;
        case "destroy":
          this.destroy();
          break;
        default:
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #onBytes(chunk: Buffer): void {
    if (this.#hasEnded) {
      return;
    }
    this.#deadlines.noteRead();
    this.#reader.push(chunk);
    if (!this.#isPaused) {
      this.#readFrames();
    }
  }

  /**
   * Hot path. Takes what was read, as long as the turn and the peer's own reading allow; all answers leave in one
   * write.
   */
  #readFrames(): void {
    if (this.#isReading) {
      return;
    }
    this.#isReading = true;
    const reader = this.#reader;
    const { maxWorkPerTurn } = this.#server.limits;
    const { blocks } = this.#incoming;
    let didFinish = false;
    let isAllRead = false;
    this.#outgoing.cork();
    try {
      if (this.#prefaceBytes < clientPreface.length) {
        this.#readPreface();
      }
      while (this.#work < maxWorkPerTurn && !this.#outgoing.isBackedUp && !this.#hasEnded) {
        isAllRead = !reader.next();
        if (isAllRead) {
          break;
        }
        // A frame costs about a microsecond, and so does a KiB of it.
        this.#work += 1 + (reader.length >> 10);
        this.#incoming.onFrame(reader);
        this.#work += this.#incoming.extraWork;
        this.#incoming.extraWork = 0;
        didFinish ||= !blocks.isOpen;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#isReading = false;
    this.#deadlines.noteUnfinished(didFinish);
    this.#outgoing.uncork();
    this.#pauseIfNeeded(isAllRead);
  }

  /** Section 3.4. */
  #readPreface(): void {
    const bytes = this.#reader.takeRaw(clientPreface.length - this.#prefaceBytes);
    if (bytes.compare(clientPreface, this.#prefaceBytes, this.#prefaceBytes + bytes.length) !== 0) {
      throw new ConnectionError(ErrorCode.ProtocolError, "wrong connection preface");
    }
    this.#prefaceBytes += bytes.length;
  }

  /** Pauses where frames are left for another turn, or answers for the peer to take; and sees to it that it goes on. */
  #pauseIfNeeded(isAllRead: boolean): void {
    if (this.#hasEnded) {
      return;
    }
    const { isBackedUp } = this.#outgoing;
    if (!isAllRead || isBackedUp) {
      this.#isPaused = true;
      this.#socket.pause();
    }
    // Backed up, it goes on when the socket has drained.
    if ((this.#work > countedWork || (this.#isPaused && !isBackedUp)) && !this.#isTurnAwaited) {
      this.#isTurnAwaited = true;
      setImmediate(() => {
        this.#isTurnAwaited = false;
        this.#work = 0;
        this.#resume();
      });
    }
  }

  #onDrain(): void {
    this.#outgoing.flush();
    this.#resume();
  }

  /** Goes on with what was read before the pause, then with the socket. */
  #resume(): void {
    if (!this.#isPaused || this.#hasEnded || this.#outgoing.isBackedUp) {
      return;
    }
    this.#isPaused = false;
    this.#readFrames();
    if (!this.#isPaused) {
      this.#socket.resume();
    }
  }

  #onIdle(): void {
    this.#deadlines.noteIdle();
    if (this.#saidLastGoAway) {
      // All that we took is answered. Not from here: the last answer is still being written.
      setImmediate(() => {
        if (this.#table.underWay === 0) {
          this.#close();
        }
      });
    }
  }

  #sayLastGoAway(): void {
    if (!this.#isLeaving || this.#saidLastGoAway) {
      return;
    }
    this.#saidLastGoAway = true;
    this.#incoming.lastAcceptedId = this.#table.ids.last;
    this.#outgoing.writer.goAway(this.#table.ids.last, ErrorCode.NoError, "");
    this.#outgoing.flushSoon();
    if (this.#table.underWay === 0) {
      this.#onIdle();
    }
  }

  /** Section 5.4.1: GOAWAY, then the connection closes. Anything but a `ConnectionError` is a bug of ours. */
  #fail(error: unknown): void {
    if (this.#hasEnded) {
      return;
    }
    const isKnown = error instanceof ConnectionError;
    if (!isKnown) {
      this.#server.onError(error);
    }
    // Streams first: bodies that they drop make room, and nothing may be said of it behind the GOAWAY.
    this.#end("the connection is closing");
    this.#outgoing.writer.goAway(
      this.#table.ids.last,
      isKnown ? error.code : ErrorCode.InternalError,
      isKnown ? error.message : "",
    );
    this.#stopWriting();
  }

  #close(): void {
    if (!this.#hasEnded) {
      this.#end("the connection is closing");
      this.#stopWriting();
    }
  }

  /**
   * Writes what is there and closes our side. Reading goes on for a while: a socket that closes with unread bytes
   * resets, and the peer would lose our last ones.
   */
  #stopWriting(): void {
    this.#outgoing.end();
    this.#socket.resume();
  }

  /** No frame is taken from now on, and no stream lives. */
  #end(message: string): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    this.#deadlines.startLingering();
    for (const stream of [...this.#table.all()]) {
      this.#table.abort(stream, ErrorCode.Cancel, message);
    }
    this.#incoming.blocks.drop();
  }
}
