import type { Limits } from "./limits.ts";

/** Says how many bytes of response bodies wait on the connection, and hears from whom to tell when they are fewer. */
export type WaitingBodies = { readonly waitingBodyBytes: number; onRoom: () => void };

/**
 * Lets a connection's handlers work, while few are at it and few bytes of response bodies wait for the peer: so what
 * waits has a bound, however much is asked for and however little is read. Handlers that must wait work later, in
 * order. Frames are read meanwhile: among them are those that make room.
 */
export class HandlerGate {
  readonly #limits: Limits;
  readonly #bodies: WaitingBodies;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(limits: Limits, bodies: WaitingBodies) {
    this.#limits = limits;
    this.#bodies = bodies;
    bodies.onRoom = () => this.#letIn();
  }

  /**
   * Null when the handler may work at once; else resolves when it may, or when the signal aborts. Either way, `leave`
   * must follow.
   */
  enter(signal: AbortSignal): Promise<void> | null {
    // Reset before its turn, it only has to leave.
    if (signal.aborted || (this.#isOpen && this.#waiting.size === 0)) {
      this.#running += 1;
      return null;
    }
    return new Promise((resolve) => {
      const begin = () => {
        signal.removeEventListener("abort", begin);
        this.#waiting.delete(begin);
        this.#running += 1;
        resolve();
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", begin);
    });
  }

  /** The response is there, and its body counted among those that wait; or the handler waits for its client. */
  leave(): void {
    this.#running -= 1;
    this.#letIn();
  }

  get #isOpen(): boolean {
    const { maxHandlersAtOnce, maxWaitingBodyBytes } = this.#limits;
    return this.#running < maxHandlersAtOnce && this.#bodies.waitingBodyBytes < maxWaitingBodyBytes;
  }

  #letIn(): void {
    for (const begin of this.#waiting) {
      if (!this.#isOpen) {
        return;
      }
      begin();
    }
  }
}

/** The place at a gate of one handler, which gives it to others as long as it waits for its client. */
export class HandlerPlace {
  readonly #gate: HandlerGate;
  readonly #signal: AbortSignal;
  #isIn = false;
  #isDone = false;
  #entering: Promise<void> | null = null;

  constructor(gate: HandlerGate, signal: AbortSignal) {
    this.#gate = gate;
    this.#signal = signal;
  }

  /**
   * Null when the handler may work at once: it works already, or only its response goes on. Else resolves when it may.
   */
  enter(): Promise<void> | null {
    if (this.#isIn || this.#isDone) {
      return null;
    }
    this.#entering ??= this.#gate.enter(this.#signal)?.then(() => this.#onEntered()) ?? null;
    this.#isIn = this.#entering === null;
    return this.#entering;
  }

  /** The handler waits for its client. */
  leave(): void {
    if (this.#isIn) {
      this.#isIn = false;
      this.#gate.leave();
    }
  }

  /** The handler has answered: from here on it waits for no other handler, and none waits for it. */
  finish(): void {
    this.leave();
    this.#isDone = true;
  }

  #onEntered(): void {
    this.#entering = null;
    this.#isIn = true;
    if (this.#isDone) {
      this.leave();
    }
  }
}
