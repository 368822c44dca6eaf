import { maxWindowBytes } from "./frame.ts";

/** How much we may still send: a stream's window or the connection's (RFC 9113 section 5.2). */
export class SendWindow {
  available: number;

  constructor(available: number) {
    this.available = available;
  }

  /**
   * Adds a WINDOW_UPDATE's increment, or what SETTINGS_INITIAL_WINDOW_SIZE changed by: it may fall below zero (section
   * 6.9.2). False if it passed 2^31-1 (section 6.9.1).
   */
  grow(increment: number): boolean {
    this.available += increment;
    return this.available <= maxWindowBytes;
  }
}
