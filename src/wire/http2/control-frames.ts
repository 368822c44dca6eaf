import { ConnectionError, ErrorCode } from "./error-code.ts";
import { Flag, FrameType } from "./frame.ts";
import type { FrameReader } from "./frame-reader.ts";
import type { HpackDecoder } from "./hpack-decoder.ts";
import type { Limits } from "./limits.ts";
import type { Outgoing } from "./outgoing.ts";
import type { PeerGuard } from "./peer-guard.ts";
import { readPeerSettings } from "./peer-settings.ts";
import { StreamPast } from "./stream-ids.ts";
import type { StreamTable } from "./stream-table.ts";

/** What a frame costs of the control budget: more if we answer it. */
const answeredCost = 10;
const plainCost = 1;

export type ControlParts<Context> = {
  readonly limits: Limits;
  readonly table: StreamTable<Context>;
  readonly outgoing: Outgoing<Context>;
  readonly guard: PeerGuard<Context>;
  readonly decoder: HpackDecoder;
  /** Hears of the acknowledgement of our PING with this payload. */
  readonly onPingAck: (payload: Buffer) => void;
};

/**
 * Does what the frames that carry no message ask for: SETTINGS, PING, WINDOW_UPDATE, RST_STREAM, PRIORITY and GOAWAY.
 */
export class ControlFrames<Context> {
  /** Our SETTINGS are in force for the peer (RFC 9113 section 6.5.3). */
  hasSettingsAck = false;
  hasPeerSettings = false;
  readonly #parts: ControlParts<Context>;

  constructor(parts: ControlParts<Context>) {
    this.#parts = parts;
  }

  onFrame(frame: FrameReader): void {
    switch (frame.type) {
      case FrameType.WindowUpdate:
        this.#onWindowUpdate(frame);
        break;
      case FrameType.ResetStream:
        this.#onResetStream(frame);
        break;
      case FrameType.Settings:
        this.#onSettings(frame);
        break;
      case FrameType.Ping:
        this.#onPing(frame);
        break;
      case FrameType.Priority:
        this.#onPriority(frame);
        break;
      case FrameType.GoAway:
        this.#onGoAway(frame);
        break;
      case FrameType.PushPromise:
        // Section 8.4: a client cannot push.
        throw protocolError("PUSH_PROMISE from a client");
      default:
        // Sections 4.1 and 5.5: unknown types are ignored.
        this.#parts.guard.spendControl(plainCost);
    }
  }

  /** Section 6.9. */
  #onWindowUpdate(frame: FrameReader): void {
    const { outgoing } = this.#parts;
    if (frame.length !== 4) {
      throw new ConnectionError(ErrorCode.FrameSizeError, "WINDOW_UPDATE is not 4 bytes long");
    }
    this.#parts.guard.spendControl(plainCost);
    const increment = frame.bytes.readUInt32BE(frame.start) & 0x7fffffff;
    if (frame.streamId === 0) {
      if (increment === 0) {
        throw protocolError("WINDOW_UPDATE of 0");
      }
      if (!outgoing.window.grow(increment)) {
        throw new ConnectionError(ErrorCode.FlowControlError, "the connection's window is above 2^31-1");
      }
      outgoing.flushSoon();
      return;
    }
    const stream = this.#parts.table.get(frame.streamId);
    if (stream === undefined) {
      this.#checkNotIdle(frame.streamId, "WINDOW_UPDATE");
    } else if (increment === 0) {
      this.#parts.guard.resetStream(stream.id, ErrorCode.ProtocolError, "WINDOW_UPDATE of 0");
    } else if (!stream.sendWindow.grow(increment)) {
      this.#parts.guard.resetStream(stream.id, ErrorCode.FlowControlError, "the stream's window is above 2^31-1");
    } else {
      outgoing.resume(stream);
    }
  }

  /** Section 6.4. */
  #onResetStream(frame: FrameReader): void {
    const { streamId } = frame;
    if (streamId === 0) {
      throw protocolError("RST_STREAM on stream 0");
    }
    if (frame.length !== 4) {
      throw new ConnectionError(ErrorCode.FrameSizeError, "RST_STREAM is not 4 bytes long");
    }
    const stream = this.#parts.table.get(streamId);
    if (stream === undefined) {
      this.#checkNotIdle(streamId, "RST_STREAM");
      this.#parts.guard.spendControl(plainCost);
      return;
    }
    this.#parts.guard.onClientReset(stream, frame.bytes.readUInt32BE(frame.start));
  }

  /** Section 6.5. */
  #onSettings(frame: FrameReader): void {
    const { limits, table, outgoing } = this.#parts;
    if (frame.streamId !== 0) {
      throw protocolError("SETTINGS on a stream");
    }
    const isAck = (frame.flags & Flag.Ack) !== 0;
    if (frame.length % 6 !== 0 || (isAck && frame.length > 0)) {
      throw new ConnectionError(ErrorCode.FrameSizeError, "SETTINGS has a wrong length");
    }
    if (isAck) {
      if (!this.hasPeerSettings) {
        throw protocolError("the first frame acknowledges SETTINGS");
      }
      this.#parts.guard.spendControl(plainCost);
      if (!this.hasSettingsAck) {
        this.hasSettingsAck = true;
        this.#parts.decoder.allowTableBytes(limits.headerTableBytes);
      }
      return;
    }
    this.hasPeerSettings = true;
    this.#parts.guard.spendControl(answeredCost + frame.length / 6);
    const settings = readPeerSettings(frame.bytes, frame.start, frame.end);
    const { headerTableBytes, initialWindowBytes: windowBytes } = settings;
    if (headerTableBytes !== null) {
      outgoing.encoder.allowTableBytes(settings.smallestHeaderTableBytes);
      outgoing.encoder.allowTableBytes(headerTableBytes);
    }
    if (windowBytes !== null) {
      // Section 6.9.2: the change applies to the streams that there are.
      const change = windowBytes - outgoing.initialWindowBytes;
      outgoing.initialWindowBytes = windowBytes;
      for (const stream of table.all()) {
        if (!stream.sendWindow.grow(change)) {
          throw new ConnectionError(
            ErrorCode.FlowControlError,
            "SETTINGS_INITIAL_WINDOW_SIZE puts a window above 2^31-1",
          );
        }
        outgoing.resume(stream);
      }
    }
    outgoing.writer.settingsAck();
  }

  /** Section 6.7. */
  #onPing(frame: FrameReader): void {
    if (frame.streamId !== 0) {
      throw protocolError("PING on a stream");
    }
    if (frame.length !== 8) {
      throw new ConnectionError(ErrorCode.FrameSizeError, "PING is not 8 bytes long");
    }
    const payload = frame.bytes.subarray(frame.start, frame.end);
    if ((frame.flags & Flag.Ack) !== 0) {
      this.#parts.guard.spendControl(plainCost);
      this.#parts.onPingAck(payload);
    } else {
      this.#parts.guard.spendControl(answeredCost);
      this.#parts.outgoing.writer.ping(payload, true);
    }
  }

  /** Section 6.3: read, checked, and of no effect. */
  #onPriority(frame: FrameReader): void {
    if (frame.streamId === 0) {
      throw protocolError("PRIORITY on stream 0");
    }
    this.#parts.guard.spendControl(plainCost);
    if (frame.length !== 5) {
      this.#parts.guard.resetStream(frame.streamId, ErrorCode.FrameSizeError, "PRIORITY is not 5 bytes long");
    } else if ((frame.bytes.readUInt32BE(frame.start) & 0x7fffffff) === frame.streamId) {
      // RFC 7540 section 5.3.1.
      this.#parts.guard.resetStream(frame.streamId, ErrorCode.ProtocolError, "stream depends on itself");
    }
  }

  /** Section 6.8. */
  #onGoAway(frame: FrameReader): void {
    if (frame.streamId !== 0) {
      throw protocolError("GOAWAY on a stream");
    }
    if (frame.length < 8) {
      throw new ConnectionError(ErrorCode.FrameSizeError, "GOAWAY is shorter than 8 bytes");
    }
    this.#parts.guard.spendControl(answeredCost);
  }

  /** Section 5.1: on an idle stream, only HEADERS and PRIORITY may come. */
  #checkNotIdle(id: number, frameName: string): void {
    if (this.#parts.table.ids.pastOf(id) === StreamPast.Idle) {
      throw protocolError(`${frameName} on an idle stream`);
    }
  }
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.ProtocolError, message);
}
