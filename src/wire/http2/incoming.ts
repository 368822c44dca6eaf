import type { Account } from "./account.ts";
import { ControlFrames } from "./control-frames.ts";
import { ConnectionError, ErrorCode, StreamAborted } from "./error-code.ts";
import { FieldKind } from "./field.ts";
import { Flag, FrameType, initialWindowBytes, maxStreamId } from "./frame.ts";
import type { FrameReader } from "./frame-reader.ts";
import { GeneralRunner } from "./general-runner.ts";
import { HeaderBlocks, withoutPadding } from "./header-blocks.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { LaneRunner } from "./lane-runner.ts";
import type { Outgoing } from "./outgoing.ts";
import { PeerGuard } from "./peer-guard.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { areTrailers, RequestHead, readHeaders, readRequestHead } from "./request-head.ts";
import type { ServerParts } from "./server-parts.ts";
import type { Stream } from "./stream.ts";
import { StreamPast } from "./stream-ids.ts";
import { StreamLaneRunner } from "./stream-lane-runner.ts";
import type { StreamTable } from "./stream-table.ts";
import { WorkGate } from "./work-gate.ts";

/** What a frame costs of the control budget. */
const plainCost = 1;
/** What beginning a general request costs, or a stream of a lane, in about a microsecond each. */
const generalWork = 20;

export type IncomingParts<Context> = {
  readonly server: ServerParts<Context>;
  readonly context: Context;
  readonly account: Account;
  readonly table: StreamTable<Context>;
  readonly outgoing: Outgoing<Context>;
  /** Hears of the acknowledgement of our PING with this payload. */
  readonly onPingAck: (payload: Buffer) => void;
};

/**
 * Does what each frame of the client asks for (RFC 9113 section 6). Throws `ConnectionError` where the RFC ends the
 * connection; resets the stream itself where it ends a stream.
 */
export class Incoming<Context> {
  /** The last stream that we take: our GOAWAY named it. */
  lastAcceptedId: number = maxStreamId;
  readonly blocks: HeaderBlocks;
  readonly control: ControlFrames<Context>;
  readonly guard: PeerGuard<Context>;
  /** Work that frames made beyond reading them, for `Connection` to count. */
  extraWork = 0;

  readonly #parts: IncomingParts<Context>;
  readonly #decoder: HpackDecoder;
  readonly #head = new RequestHead();
  readonly #window: ReceiveWindow;
  readonly #lanes: LaneRunner<Context>;
  readonly #streamLanes: StreamLaneRunner<Context>;
  readonly #general: GeneralRunner<Context>;

  constructor(parts: IncomingParts<Context>) {
    const { limits, factory } = parts.server;
    this.#parts = parts;
    this.blocks = new HeaderBlocks(limits, parts.account);
    this.#decoder = new HpackDecoder(factory, limits);
    this.#window = new ReceiveWindow(limits.connectionWindowBytes);
    const { table, outgoing, onPingAck } = parts;
    const work = new WorkGate(limits);
    const guard = new PeerGuard(table, outgoing, work, limits);
    this.guard = guard;
    this.control = new ControlFrames({ limits, table, outgoing, guard, decoder: this.#decoder, onPingAck });
    const runnerParts = { ...parts, guard, work, onRoom: () => this.openWindow() };
    this.#lanes = new LaneRunner(runnerParts);
    this.#streamLanes = new StreamLaneRunner(runnerParts);
    this.#general = new GeneralRunner(runnerParts);
  }

  /** Hot path. Does what one frame asks for. */
  onFrame(frame: FrameReader): void {
    if (!this.control.hasPeerSettings && frame.type !== FrameType.Settings) {
      // Section 3.4.
      throw protocolError("the first frame is no SETTINGS frame");
    }
    if (this.blocks.isOpen && frame.type !== FrameType.Continuation) {
      // Section 6.10.
      throw protocolError("a frame between those of a header block");
    }
    switch (frame.type) {
      case FrameType.Headers:
        this.#onHeaders(frame);
        break;
      case FrameType.Data:
        this.#onData(frame);
        break;
      case FrameType.Continuation:
        this.#onContinuation(frame);
        break;
      default:
        this.control.onFrame(frame);
        break;
    }
  }

  #onHeaders(frame: FrameReader): void {
    if (frame.streamId === 0) {
      throw protocolError("HEADERS on stream 0");
    }
    if (this.blocks.begin(frame)) {
      this.#onHeaderBlock();
    }
  }

  #onContinuation(frame: FrameReader): void {
    if (frame.end === frame.start) {
      this.guard.spendControl(plainCost);
    }
    if (this.blocks.continue(frame)) {
      this.#onHeaderBlock();
    }
  }

  /** Whatever becomes of the stream, the block is decoded: both sides' tables stay alike (section 4.3). */
  #onHeaderBlock(): void {
    const { blocks } = this;
    this.#decoder.decode(blocks.bytes, blocks.start, blocks.end);
    this.extraWork += this.#decoder.dropped >> 6;
    const { ids } = this.#parts.table;
    const id = blocks.streamId;
    if (id > ids.last && (id & 1) === 1) {
      ids.begin(id);
      this.#beginRequest(id, blocks.endsStream);
    } else {
      this.#onLaterHeaders(id);
    }
  }

  #beginRequest(id: number, endStream: boolean): void {
    const { server, table, outgoing } = this.#parts;
    const decoder = this.#decoder;
    const head = this.#head;
    if (id > this.lastAcceptedId) {
      // Section 6.8: the client knows, or soon will, that nothing was done.
      table.ids.noteReset(id);
      return;
    }
    if (decoder.isTooLarge) {
      // Section 10.5.1: a list longer than we take is answered, and the connection goes on.
      this.#refuseLargeHeader(table.open(id, -1, server.time.nowMs), endStream);
    } else if (this.blocks.dependsOnItself) {
      // RFC 7540 section 5.3.1.
      this.guard.resetStream(id, ErrorCode.ProtocolError, "stream depends on itself");
    } else if (
      !readRequestHead(decoder.fields, decoder.count, server.lanes.headers.length, head) ||
      (endStream && head.contentLength > 0)
    ) {
      // Section 8.1.1.
      this.guard.resetStream(id, ErrorCode.ProtocolError, "malformed request");
    } else if (table.openCount >= server.limits.maxConcurrentStreams) {
      // Section 5.1.2. The client may not have read our SETTINGS yet.
      this.guard.dropStream(id, ErrorCode.RefusedStream, "too many streams");
    } else {
      const stream = table.open(id, head.contentLength, server.time.nowMs);
      const { limits } = server;
      stream.sendWindow.available = outgoing.initialWindowBytes;
      // Section 6.9.2: a peer that has not acknowledged our SETTINGS may have used the initial value.
      stream.receiveWindow.reset(limits.streamWindowBytes, Math.max(limits.streamWindowBytes, initialWindowBytes));
      const lane = this.#lanes.find(head);
      const streamLane = lane === null ? this.#streamLanes.find(head) : null;
      if (lane !== null) {
        this.#lanes.begin(stream, lane, head, endStream);
      } else if (streamLane !== null) {
        this.extraWork += generalWork;
        this.#streamLanes.begin(stream, streamLane, head, endStream);
      } else if (head.method === "CONNECT") {
        this.#answerEmpty(stream, 501, endStream);
      } else if (table.headerBytes + decoder.listBytes > limits.maxHeldBytes / 2) {
        // They stay until the stream ends, which may need a body: the other half is room for windows.
        this.guard.dropStream(id, ErrorCode.RefusedStream, "header fields of requests take too much");
      } else {
        table.keepHeaders(stream, decoder.listBytes);
        this.extraWork += generalWork;
        this.#general.begin(stream, head, readHeaders(decoder.fields, decoder.count), endStream);
      }
    }
  }

  /** With its words where the windows have room for them: a request that is not read waits for nothing. */
  #refuseLargeHeader(stream: Stream<Context>, endStream: boolean): void {
    const { server, outgoing, context } = this.#parts;
    stream.sendWindow.available = outgoing.initialWindowBytes;
    const refusal = server.refuseLargeHeader?.(context, this.#contentType()) ?? null;
    if (refusal !== null && !this.#isHead() && outgoing.answer(stream, refusal)) {
      this.#endRefused(stream, endStream);
    } else {
      this.#answerEmpty(stream, 431, endStream);
    }
  }

  #contentType(): string {
    const { fields, count } = this.#decoder;
    return fields.slice(0, count).find(({ name }) => name === "content-type")?.value ?? "";
  }

  #isHead(): boolean {
    const { fields, count } = this.#decoder;
    return fields.slice(0, count).some(({ kind, value }) => kind === FieldKind.Method && value === "HEAD");
  }

  #answerEmpty(stream: Stream<Context>, status: number, endStream: boolean): void {
    this.#parts.outgoing.headers(stream, [[":status", String(status)]], true);
    this.#endRefused(stream, endStream);
  }

  #endRefused(stream: Stream<Context>, endStream: boolean): void {
    const { table, outgoing } = this.#parts;
    this.guard.noteAnswered();
    if (!endStream) {
      outgoing.resetStream(stream.id, ErrorCode.NoError);
      table.ids.noteReset(stream.id);
    }
    table.close(stream);
  }

  /** A header block on a stream that has begun: trailers, or a mistake. */
  #onLaterHeaders(id: number): void {
    const stream = this.#openStream(id, "HEADERS");
    if (stream === null) {
      return;
    }
    const decoder = this.#decoder;
    if (stream.hasRemoteEnded) {
      // Section 5.1, half-closed (remote).
      this.guard.resetStream(id, ErrorCode.StreamClosed, "HEADERS after END_STREAM");
    } else if (this.blocks.dependsOnItself || !this.blocks.endsStream || !areTrailers(decoder.fields, decoder.count)) {
      // Section 8.1: the second block is the trailers, ends the stream, and has no pseudo-header field.
      this.guard.resetStream(id, ErrorCode.ProtocolError, "malformed trailers");
    } else if (decoder.isTooLarge) {
      this.guard.resetStream(id, ErrorCode.EnhanceYourCalm, "trailers are too large");
    } else {
      this.#onBodyPart(stream, this.blocks.bytes, 0, 0, true);
    }
  }

  /** Section 6.1. */
  #onData(frame: FrameReader): void {
    const { streamId, flags, length } = frame;
    if (streamId === 0) {
      throw protocolError("DATA on stream 0");
    }
    let { start, end } = frame;
    if ((flags & Flag.Padded) !== 0 && !frame.oversized) {
      ({ start, end } = withoutPadding(frame));
    }
    // Section 6.9.1: all of the payload counts, padding too, whatever becomes of it.
    if (!this.#window.take(length)) {
      throw new ConnectionError(ErrorCode.FlowControlError, "DATA beyond the connection's window");
    }
    const endStream = (flags & Flag.EndStream) !== 0;
    if (end === start && !endStream) {
      this.guard.spendControl(plainCost);
    }
    const stream = this.#parts.table.get(streamId) ?? this.#openStream(streamId, "DATA");
    if (stream === null) {
      this.openWindow();
      return;
    }
    if (stream.hasRemoteEnded || frame.oversized || !stream.receiveWindow.take(length)) {
      this.openWindow();
      this.#refuseData(stream, frame);
      return;
    }
    stream.receivedBytes += end - start;
    if (stream.lane === null) {
      stream.heardAtMs = this.#parts.server.time.nowMs;
    }
    if (stream.contentLength !== -1 && stream.receivedBytes > stream.contentLength) {
      this.openWindow();
      this.guard.resetStream(streamId, ErrorCode.ProtocolError, "body is longer than content-length");
      return;
    }
    if (!endStream) {
      // What is no body makes room on the stream at once. So does a lane's body, whose length has a bound of its own,
      // and what a lane of streams is handed as it comes.
      const freeBytes = stream.lane === null && stream.listener === null ? length - (end - start) : length;
      this.#parts.outgoing.windowUpdate(streamId, stream.receiveWindow.release(freeBytes));
    }
    this.#onBodyPart(stream, frame.bytes, start, end, endStream);
    this.openWindow();
  }

  #refuseData(stream: Stream<Context>, frame: FrameReader): void {
    if (stream.hasRemoteEnded) {
      // Section 5.1, half-closed (remote).
      this.guard.resetStream(stream.id, ErrorCode.StreamClosed, "DATA after END_STREAM");
    } else if (frame.oversized) {
      // Section 4.2.
      this.guard.resetStream(stream.id, ErrorCode.FrameSizeError, "DATA frame is longer than SETTINGS_MAX_FRAME_SIZE");
    } else {
      this.guard.resetStream(stream.id, ErrorCode.FlowControlError, "DATA beyond the stream's window");
    }
  }

  #onBodyPart(stream: Stream<Context>, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    if (endStream && !stream.hasToldLength) {
      this.#onShortBody(stream);
      return;
    }
    stream.hasRemoteEnded = endStream;
    if (stream.lane !== null) {
      this.#lanes.data(stream, stream.lane, bytes, start, end, endStream);
    } else if (stream.listener !== null) {
      this.extraWork += this.#streamLanes.data(stream, stream.listener, bytes, start, end, endStream);
    } else if (stream.body !== null) {
      this.#general.data(stream.body, bytes, start, end, endStream);
    }
    if (!stream.isClosed && end > start) {
      this.#keepRoom();
    }
  }

  /**
   * Sees to it that streams that wait leave room for those that have begun. The one that holds most goes, so that
   * small ones stay.
   */
  #keepRoom(): void {
    const { account, table, server } = this.#parts;
    while (account.room < server.limits.connectionWindowBytes) {
      const heaviest = table.heaviestWaiting();
      if (heaviest === undefined) {
        return;
      }
      // Section 8.7: nothing was done, so that clients may send it again by themselves. A lane of streams has heard
      // what came before. No fault of the client's: the windows allowed it.
      const code = heaviest.listener === null ? ErrorCode.RefusedStream : ErrorCode.EnhanceYourCalm;
      this.guard.dropStream(heaviest.id, code, "too many bytes of requests wait");
      this.extraWork += table.underWay >> 6;
    }
  }

  /**
   * Section 8.1.1: malformed, so the stream is reset; unless its response is on its way, which may be sent first.
   * Clients that see a response begin stop sending, connect-go with END_STREAM and short of what it declared: a reset
   * would overtake the status.
   */
  #onShortBody(stream: Stream<Context>): void {
    const message = "body is shorter than content-length";
    if (!stream.hasAnswerBegun || stream.listener !== null) {
      this.guard.resetStream(stream.id, ErrorCode.ProtocolError, message);
      return;
    }
    stream.hasRemoteEnded = true;
    stream.body?.fail(new StreamAborted(ErrorCode.ProtocolError, message));
    this.guard.spendFault();
  }

  /**
   * The open stream of this id, or null if the frame is to be dropped. Throws where section 5.1 ends the connection.
   */
  #openStream(id: number, frameName: string): Stream<Context> | null {
    const { table } = this.#parts;
    const stream = table.get(id);
    if (stream !== undefined) {
      return stream;
    }
    switch (table.ids.pastOf(id)) {
      case StreamPast.ResetByUs:
        // The peer may have sent it before it read our RST_STREAM. Not for ever: a flood of it costs.
        this.guard.spendControl(plainCost);
        return null;
      case StreamPast.Closed:
        this.#refuseLateFrame(id, frameName);
        return null;
      default:
        // Idle, or passed over and so closed without use: section 5.1.1.
        throw protocolError(`${frameName} on a stream that did not begin`);
    }
  }

  /**
   * Section 5.1, closed: a client may have written it before it read our answer, or behind its own RST_STREAM. It costs
   * no other stream anything: the stream is reset, as far as it is still there, and what follows on it is dropped.
   */
  #refuseLateFrame(id: number, frameName: string): void {
    if (frameName === "HEADERS" && this.#decoder.fields[0]?.name.startsWith(":") === true) {
      // Section 5.1.1: a request, whose stream was used before.
      throw new ConnectionError(ErrorCode.StreamClosed, "HEADERS of a request on a closed stream");
    }
    this.guard.spendControl(plainCost);
    const { outgoing, table } = this.#parts;
    outgoing.resetStream(id, ErrorCode.StreamClosed);
    table.ids.noteReset(id);
  }

  /** Opens the connection's window as far as there is room. */
  openWindow(): void {
    this.#parts.outgoing.windowUpdate(0, this.#window.open(this.#parts.account.room));
  }

  /** Whether the client may send parts of bodies at all. */
  get isWindowOpen(): boolean {
    return this.#window.isOpen;
  }
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.ProtocolError, message);
}
