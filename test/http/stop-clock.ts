import { vi } from "vitest";

/**
 * From here on the test's clock stands still, but where it is told to advance. What Node times itself, for HTTP/1.1 and
 * the handshakes of TLS, goes on.
 */
export function stopClock(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
}
