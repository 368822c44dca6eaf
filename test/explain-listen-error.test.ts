import { expect, it } from "vitest";
import { explainListenError, type ListenSetting } from "../src/explain-listen-error.ts";
import { StartError } from "../src/machine/start-error.ts";
import type { ListenAddress } from "../src/wire/port/listen-address.ts";

const adminPort = { host: "127.0.0.1", port: 9464 };

// What root, as whom tests may run, never meets, and what depends on who else listens on this machine.
it.each([
  [
    "REST_LISTEN",
    { host: "127.0.0.1", port: 443 },
    "EACCES",
    /may not listen on port 443: set .* from 1024 on, or allow/,
  ],
  [
    "ADMIN_LISTEN",
    adminPort,
    "EADDRINUSE",
    /\(9464 is what every exporter of OpenTelemetry takes\).*127\.0\.0\.1:9465, or to off/,
  ],
  [
    "LISTEN",
    { host: "::1", port: 65_535 },
    "EADDRINUSE",
    /set TOKEN_AUTHORITY_LISTEN to another port, such as \[::1\]:65534$/,
  ],
  ["LISTEN", { path: "/run/ro/s" }, "EROFS", /this user may not write to the directory \/run\/ro: choose another$/],
  ["LISTEN", { host: "::1", port: 1 }, "EAFNOSUPPORT", /cannot listen on \[::1\]:1: listen EAFNOSUPPORT$/],
] as const satisfies readonly (readonly [ListenSetting, ListenAddress, string, RegExp])[])(
  "says what to do about %s at %j: %s",
  (name, address, code, expected) => {
    const error = Object.assign(new Error(`listen ${code}`), { code, syscall: "listen" });
    const explained = explainListenError(name, address, error);
    expect(explained).toBeInstanceOf(StartError);
    expect(explained).toMatchObject({ message: expect.stringMatching(expected) });
    expect(explained).toMatchObject({ message: expect.stringMatching(`^TOKEN_AUTHORITY_${name}: [^\n]+$`) });
  },
);
