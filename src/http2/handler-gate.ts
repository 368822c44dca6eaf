import type { Limits } from "./limits.ts";

/** Says how many bytes of response bodies wait on the connection, and hears from whom to tell when they are fewer. */
export type WaitingBodies = { readonly waitingBodyBytes: number; onRoom: () => void };

/**
 * Lets a connection's handlers begin, while few are at work and few bytes of response bodies wait for the peer: so what waits has a
 * bound, however much is asked for and however little is read. Who must wait is served later, in order. Frames are read
 * meanwhile: among them are those that make room.
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

  /** Null when the handler may begin at once; else resolves when it may, or when the signal aborts. Either way, `leave` must follow. */
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

  /** The response is there, and its body counted among those that wait. */
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
