import type { BodyBuffer } from "./body-buffer.ts";
import { initialWindowBytes } from "./frame.ts";
import type { Lane } from "./lane.ts";
import { ReceiveWindow } from "./receive-window.ts";
import type { RequestBody } from "./request-body.ts";
import { SendWindow } from "./send-window.ts";
import type { Listener } from "./stream-lane.ts";

/**
 * A stream that is not idle and not closed (RFC 9113 section 5.1). The two ends tell its state: open while neither has
 * ended, half-closed (remote) once the client's has, half-closed (local) once ours has, closed when both have or one
 * side reset it.
 */
export class Stream<Context> {
  id = 0;
  hasRemoteEnded = false;
  hasLocalEnded = false;
  isClosed = false;
  /** A lane or a handler is at it. It counts until that is done, closed or not. */
  isWorking = false;
  /** What takes it from where it waits to begin, if it is reset there; or tells the lane of streams that it is over. */
  onAbort: (() => void) | null = null;

  readonly sendWindow: SendWindow = new SendWindow(0);
  readonly receiveWindow: ReceiveWindow = new ReceiveWindow(initialWindowBytes);
  /** Told by content-length, or -1; and how much came (section 8.1.1). */
  contentLength = -1;
  receivedBytes = 0;
  /** When it began; on the general way, when it last brought a part of its body. */
  heardAtMs = 0;
  /** The response of a handler or of a lane of streams has begun. */
  hasAnswerBegun = false;

  /** Not null on the lane. */
  lane: Lane<Context> | null = null;
  laneHeaders: (string | null)[] = [];
  /** The parts of a body that did not come as one. */
  laneBody: BodyBuffer | null = null;

  /** Not null on a lane of streams, until it has ended the response. */
  listener: Listener | null = null;
  /** What the listener keeps of what it was handed, as the account has it. */
  keptBytes = 0;

  /** Not null on the general way. */
  body: RequestBody | null = null;
  controller: AbortController | null = null;
  /** What its handler has read of the body and may keep, until the response begins. */
  readBytes = 0;
  /** What its header fields take in the account, as long as it lives. */
  headerBytes = 0;

  /** What waits for a window: from `outgoingAt`, then END_STREAM if `outgoingEnds`. */
  outgoing: Uint8Array | null = null;
  outgoingAt = 0;
  outgoingEnds = false;
  /**
   * Body bytes sent; and how many they were, and when, as of the last sweep that found nothing waiting or some of it
   * gone.
   */
  sentBytes = 0;
  notedSentBytes = 0;
  notedSentAtMs = 0;
  /** Hears once whether `outgoing` was sent: false if the stream closed first. */
  onSent: ((sent: boolean) => void) | null = null;

  /** Makes it as new. */
  begin(id: number, contentLength: number, nowMs: number): void {
    this.id = id;
    this.hasRemoteEnded = false;
    this.hasLocalEnded = false;
    this.isClosed = false;
    this.contentLength = contentLength;
    this.receivedBytes = 0;
    this.heardAtMs = nowMs;
    this.hasAnswerBegun = false;
    this.sentBytes = 0;
    this.notedSentBytes = 0;
    this.notedSentAtMs = nowMs;
  }

  /** Bytes of its body that wait for it to begin; on a lane of streams, for the rest of a message. */
  get waitingBytes(): number {
    return this.laneBody?.length ?? (this.isWorking ? 0 : (this.body?.heldBytes ?? this.keptBytes));
  }

  /** Whether content-length, if there is one, told the truth (section 8.1.1). */
  get hasToldLength(): boolean {
    return this.contentLength === -1 || this.contentLength === this.receivedBytes;
  }
}
