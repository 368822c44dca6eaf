import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FloodBudget } from "./flood-budget.ts";
import type { Limits } from "./limits.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Stream } from "./stream.ts";
import { StreamPast } from "./stream-ids.ts";
import type { StreamTable } from "./stream-table.ts";
import type { WorkGate } from "./work-gate.ts";

/** What an answered request gives back to the control budget. */
const answeredRefill = 20;
/**
 * What a request gives back that was reset without a fault: what its client had sent before it knew, or sends because
 * it gave up.
 */
const resetRefill = 4;

/**
 * Keeps count of what a peer makes us do for nothing, and ends the connection with ENHANCE_YOUR_CALM where it is too
 * much.
 */
export class PeerGuard<Context> {
  readonly #table: StreamTable<Context>;
  readonly #outgoing: Outgoing<Context>;
  readonly #work: WorkGate;
  readonly #faults: FloodBudget;
  readonly #control: FloodBudget;

  constructor(table: StreamTable<Context>, outgoing: Outgoing<Context>, work: WorkGate, limits: Limits) {
    this.#table = table;
    this.#outgoing = outgoing;
    this.#work = work;
    this.#faults = new FloodBudget(limits.resetBudget);
    this.#control = new FloodBudget(limits.controlBudget);
  }

  /** Gives back to all budgets for the time that passed. */
  refill(amount: number): void {
    this.#work.refill(amount);
    this.#faults.refill(amount);
    this.#control.refill(amount);
  }

  /** Gives back for a request that was answered in full. */
  noteAnswered(): void {
    this.#work.refill(1);
    this.#faults.refill(1);
    this.#control.refill(answeredRefill);
  }

  /** Section 5.4.2: resets a stream for a fault of its client's, which costs (CVE-2019-9514, CVE-2025-8671). */
  resetStream(id: number, code: ErrorCode, message: string): void {
    this.#reset(id, code, message);
    this.spendFault();
  }

  /** Resets a stream that broke no rule: for want of room, or since its time is over. */
  dropStream(id: number, code: ErrorCode, message: string): void {
    this.#reset(id, code, message);
    this.#control.refill(resetRefill);
  }

  /**
   * The client reset its stream, which is no fault however often, and ends no connection: it may have waited for us too
   * long.
   */
  onClientReset(stream: Stream<Context>, code: number): void {
    this.#abort(stream, code, "the client reset the stream");
    this.#control.refill(resetRefill);
  }

  /** For a stream that the client got wrong. */
  spendFault(): void {
    if (!this.#faults.spend(1)) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "too many faulty streams");
    }
  }

  /** For a frame that brings no request forward. */
  spendControl(cost: number): void {
    this.#control.refill(this.#outgoing.takeEarned());
    if (!this.#control.spend(cost)) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "too many frames that bring no request forward");
    }
  }

  #reset(id: number, code: ErrorCode, message: string): void {
    const table = this.#table;
    const stream = table.get(id);
    if (stream === undefined && table.ids.pastOf(id) === StreamPast.Idle) {
      // Section 6.4: RST_STREAM is not sent on an idle stream. Section 5.4.1: any stream error may end the connection.
      throw new ConnectionError(code, message);
    }
    this.#outgoing.resetStream(id, code);
    table.ids.noteReset(id);
    if (stream !== undefined) {
      this.#abort(stream, code, message);
    }
  }

  #abort(stream: Stream<Context>, code: number, message: string): void {
    if (stream.isWorking) {
      this.#work.noteGivenUp();
    }
    this.#table.abort(stream, code, message);
  }
}
