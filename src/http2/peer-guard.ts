import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FloodBudget } from "./flood-budget.ts";
import type { Limits } from "./limits.ts";
import type { Outgoing } from "./outgoing.ts";
import { StreamPast } from "./stream-ids.ts";
import type { StreamTable } from "./stream-table.ts";

/** What an answered request gives back to the control budget. */
const answeredRefill = 20;

/** Keeps count of what a peer makes us do for nothing, and ends the connection with ENHANCE_YOUR_CALM where it is too much. */
export class PeerGuard<Context> {
  readonly #table: StreamTable<Context>;
  readonly #outgoing: Outgoing<Context>;
  readonly #resets: FloodBudget;
  readonly #control: FloodBudget;

  constructor(table: StreamTable<Context>, outgoing: Outgoing<Context>, limits: Limits) {
    this.#table = table;
    this.#outgoing = outgoing;
    this.#resets = new FloodBudget(limits.resetBudget);
    this.#control = new FloodBudget(limits.controlBudget);
  }

  /** Gives back to both budgets for the time that passed. */
  refill(amount: number): void {
    this.#resets.refill(amount);
    this.#control.refill(amount);
  }

  /** Hot path. Gives back for a request that was answered in full. */
  noteAnswered(): void {
    this.#resets.refill(1);
    this.#control.refill(answeredRefill);
  }

  /** Section 5.4.2. What makes us reset streams costs like resetting them (CVE-2025-8671). */
  resetStream(id: number, code: ErrorCode, message: string): void {
    this.dropStream(id, code, message);
    this.spendReset();
  }

  /** Resets a stream that broke no rule. */
  dropStream(id: number, code: ErrorCode, message: string): void {
    const table = this.#table;
    const stream = table.get(id);
    if (stream === undefined && table.ids.pastOf(id) === StreamPast.Idle) {
      // Section 6.4: RST_STREAM is not sent on an idle stream. Section 5.4.1: any stream error may end the connection.
      throw new ConnectionError(code, message);
    }
    this.#outgoing.resetStream(id, code);
    table.ids.noteReset(id);
    if (stream !== undefined) {
      table.abort(stream, code, message);
    }
  }

  /** For a stream that was reset, or a header list that was refused. */
  spendReset(): void {
    if (!this.#resets.spend(1)) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "too many streams were reset");
    }
  }

  /** For a frame that brings no request forward. */
  spendControl(cost: number): void {
    this.#control.refill(this.#outgoing.takeEarned());
    if (!this.#control.spend(cost)) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "too many frames that bring no request forward");
    }
  }
}
