import { ConnectionError, ErrorCode } from "./error-code.ts";
import { initialFrameBytes, maxWindowBytes, Setting } from "./frame.ts";

/** What a SETTINGS frame changes for a server. */
export type PeerSettings = {
  headerTableBytes: number | null;
  /** Of several values in one frame, the smallest: it must be signalled too (RFC 7541 section 4.2). */
  smallestHeaderTableBytes: number;
  initialWindowBytes: number | null;
};

/**
 * Reads the payload of a SETTINGS frame (RFC 9113 sections 6.5.1 and 6.5.2), `start` to `end`: the last value of a
 * setting holds.
 */
export function readPeerSettings(bytes: Buffer, start: number, end: number): PeerSettings {
  const settings: PeerSettings = {
    headerTableBytes: null,
    smallestHeaderTableBytes: Number.POSITIVE_INFINITY,
    initialWindowBytes: null,
  };
  for (let at = start; at < end; at += 6) {
    const value = bytes.readUInt32BE(at + 2);
    switch (bytes.readUInt16BE(at)) {
      case Setting.HeaderTableSize:
        settings.headerTableBytes = value;
        settings.smallestHeaderTableBytes = Math.min(settings.smallestHeaderTableBytes, value);
        break;
      case Setting.EnablePush:
        if (value > 1) {
          throw new ConnectionError(ErrorCode.ProtocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1");
        }
        break;
      case Setting.InitialWindowSize:
        if (value > maxWindowBytes) {
          throw new ConnectionError(ErrorCode.FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1");
        }
        settings.initialWindowBytes = value;
        break;
      case Setting.MaxFrameSize:
        // We never send a frame above the least that a peer may set.
        if (value < initialFrameBytes || value > 2 ** 24 - 1) {
          throw new ConnectionError(ErrorCode.ProtocolError, "SETTINGS_MAX_FRAME_SIZE is out of range");
        }
        break;
      default:
      // The rest bind a server to nothing, and unknown settings are ignored.
    }
  }
  return settings;
}
