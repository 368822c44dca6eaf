import { ConnectionError, ErrorCode } from "./error-code.ts";
import type { FrameReader } from "./frame-reader.ts";
import type { Incoming } from "./incoming.ts";
import type { Outgoing } from "./outgoing.ts";
import type { ServerParts } from "./server-parts.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

export type DeadlineParts<Context> = {
  readonly server: ServerParts<Context>;
  readonly table: StreamTable<Context>;
  readonly outgoing: Outgoing<Context>;
  readonly incoming: Incoming<Context>;
  readonly reader: FrameReader;
};

/** What a connection has to do now: send a PING, begin to leave, say its last GOAWAY, close at once, or nothing. */
export type Due = "ping" | "leave" | "last-goaway" | "destroy" | null;

/**
 * All that a connection does because of time. Deadlines are noted as it works and looked at by the server's sweep: no
 * timer of its own.
 */
export class Deadlines<Context> {
  readonly #parts: DeadlineParts<Context>;
  readonly #bornAtMs: number;
  readonly #maxAgeMs: number;
  #readAtMs: number;
  #isPinging = false;
  #pingAtMs = 0;
  #idleSinceMs: number;
  /** Since when a frame or a header block lacks its end. */
  #unfinishedSinceMs: number | null = null;
  #takenBytes = 0;
  #takenAtMs: number;
  #sentBodyBytes = 0;
  /** How long the peer may take nothing of what waits for it. */
  #writeStallMs: number;
  #leavingAtMs: number | null = null;
  #saidLastGoAway = false;
  #lingeringAtMs = 0;

  constructor(parts: DeadlineParts<Context>) {
    const { limits, random, time } = parts.server;
    this.#parts = parts;
    this.#bornAtMs = time.nowMs;
    this.#readAtMs = time.nowMs;
    this.#idleSinceMs = time.nowMs;
    this.#takenAtMs = time.nowMs;
    this.#writeStallMs = limits.writeStallMs;
    // Connections that came together do not leave together.
    this.#maxAgeMs = limits.maxAgeMs * (1 + limits.ageJitter * (2 * random() - 1));
  }

  noteRead(): void {
    this.#readAtMs = this.#parts.server.time.nowMs;
    this.#isPinging = false;
  }

  /**
   * After a read: whether it left a frame or a header block without its end, and brought one to its end
   * before.
   */
  noteUnfinished(didFinish: boolean): void {
    const { reader, incoming, server } = this.#parts;
    if (!reader.isMidFrame && !incoming.blocks.isOpen) {
      this.#unfinishedSinceMs = null;
    } else if (didFinish || this.#unfinishedSinceMs === null) {
      this.#unfinishedSinceMs = server.time.nowMs;
    }
  }

  get idleSinceMs(): number {
    return this.#idleSinceMs;
  }

  noteIdle(): void {
    this.#idleSinceMs = this.#parts.server.time.nowMs;
  }

  startLeaving(): void {
    this.#leavingAtMs = this.#parts.server.time.nowMs;
  }

  /** From now on the peer is waited for as briefly as a server may that closes. */
  hurry(): void {
    const { closingStallMs } = this.#parts.server.limits;
    this.#writeStallMs = Math.min(this.#writeStallMs, closingStallMs);
  }

  startLingering(): void {
    this.#lingeringAtMs = this.#parts.server.time.nowMs;
  }

  isLingeringOver(): boolean {
    const { limits, time } = this.#parts.server;
    return time.nowMs - this.#lingeringAtMs >= limits.lingerMs;
  }

  /**
   * What is due. Throws `ConnectionError` if the peer was too slow with what it owes. While reading is paused, what
   * does not come is no fault of the peer's.
   */
  next(isPaused: boolean): Due {
    const { server, outgoing } = this.#parts;
    const { limits, time } = server;
    const { nowMs } = time;
    if (isPaused) {
      this.#forgiveSilence(nowMs);
    }
    this.#checkHandshake(nowMs);
    if (this.#unfinishedSinceMs !== null && nowMs - this.#unfinishedSinceMs >= limits.headerMs) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "a frame or header block took too long");
    }
    this.#checkBodies(nowMs);
    if (outgoing.unsentBytes === 0 || outgoing.takenBytes !== this.#takenBytes) {
      this.#takenBytes = outgoing.takenBytes;
      this.#takenAtMs = nowMs;
    } else if (nowMs - this.#takenAtMs >= this.#writeStallMs) {
      return "destroy";
    }
    return this.#leavingAtMs === null
      ? this.#nextWhileServing(nowMs)
      : this.#nextWhileLeaving(nowMs, this.#leavingAtMs);
  }

  #nextWhileServing(nowMs: number): Due {
    const { limits } = this.#parts.server;
    if (nowMs - this.#bornAtMs >= this.#maxAgeMs) {
      return "leave";
    }
    if (this.#parts.table.underWay === 0 && nowMs - this.#idleSinceMs >= limits.idleMs) {
      return "leave";
    }
    return this.#nextPing(nowMs);
  }

  #nextWhileLeaving(nowMs: number, leavingAtMs: number): Due {
    const { limits } = this.#parts.server;
    if (nowMs - leavingAtMs >= limits.maxAgeGraceMs) {
      return "destroy";
    }
    if (!this.#saidLastGoAway && nowMs - leavingAtMs >= limits.goAwayMs) {
      this.#saidLastGoAway = true;
      return "last-goaway";
    }
    return this.#nextPing(nowMs);
  }

  /**
   * A peer that is silent for long is asked whether it is there (section 6.7); one that is not has lost its connection.
   */
  #nextPing(nowMs: number): Due {
    const { limits } = this.#parts.server;
    if (this.#isPinging) {
      return nowMs - this.#pingAtMs >= limits.keepaliveAnswerMs ? "destroy" : null;
    }
    if (nowMs - this.#readAtMs < limits.keepaliveMs || this.#parts.outgoing.isBackedUp) {
      return null;
    }
    this.#isPinging = true;
    this.#pingAtMs = nowMs;
    return "ping";
  }

  #checkHandshake(nowMs: number): void {
    const { server, incoming } = this.#parts;
    if (nowMs - this.#bornAtMs < server.limits.handshakeMs) {
      return;
    }
    if (!incoming.control.hasPeerSettings) {
      throw new ConnectionError(ErrorCode.ProtocolError, "no preface and SETTINGS in time");
    }
    if (!incoming.control.hasSettingsAck) {
      // Section 6.5.3.
      throw new ConnectionError(ErrorCode.SettingsTimeout, "SETTINGS were not acknowledged in time");
    }
  }

  #checkBodies(nowMs: number): void {
    const { sentBodyBytes } = this.#parts.outgoing;
    const isSending = sentBodyBytes !== this.#sentBodyBytes;
    this.#sentBodyBytes = sentBodyBytes;
    for (const stream of [...this.#parts.table.all()]) {
      if (!stream.hasRemoteEnded) {
        this.#checkRequestBody(stream, nowMs);
      }
      if (!stream.isClosed) {
        this.#checkResponseBody(stream, nowMs, isSending);
      }
    }
  }

  #forgiveSilence(nowMs: number): void {
    if (this.#unfinishedSinceMs !== null) {
      this.#unfinishedSinceMs = nowMs;
    }
    for (const stream of this.#parts.table.all()) {
      stream.heardAtMs = nowMs;
    }
  }

  #checkRequestBody(stream: Stream<Context>, nowMs: number): void {
    const { limits } = this.#parts.server;
    const { guard, isWindowOpen } = this.#parts.incoming;
    if (!isWindowOpen) {
      stream.heardAtMs = nowMs;
    }
    const silentMs = nowMs - stream.heardAtMs;
    if (stream.lane !== null) {
      if (silentMs >= limits.laneBodyMs) {
        guard.dropStream(stream.id, ErrorCode.Cancel, "the request body took too long");
      }
      return;
    }
    // Once the response has begun, the client may be silent as long as the handler's own deadlines let it.
    if (!stream.hasAnswerBegun && silentMs >= limits.bodyIdleMs && stream.receiveWindow.isOpen) {
      guard.dropStream(stream.id, ErrorCode.Cancel, "the request body fell silent");
    }
  }

  /**
   * What waits for a window counts in no socket's buffer: a client that never opens one would keep it for ever
   * (CVE-2019-9517). A stream whose own window is open waits for its turn as long as others have theirs.
   */
  #checkResponseBody(stream: Stream<Context>, nowMs: number, isSending: boolean): void {
    const hasMoved = stream.sentBytes !== stream.notedSentBytes || (isSending && stream.sendWindow.available > 0);
    if (stream.outgoing === null || hasMoved) {
      stream.notedSentBytes = stream.sentBytes;
      stream.notedSentAtMs = nowMs;
    } else if (nowMs - stream.notedSentAtMs >= this.#writeStallMs) {
      this.#parts.incoming.guard.dropStream(stream.id, ErrorCode.Cancel, "the client takes none of the response");
    }
  }
}
