import { expect, it } from "vitest";
import { StartError } from "../../src/machine/start-error.ts";
import { explainListenError, type ListenSetting } from "../../src/wire/port/explain-listen-error.ts";
import type { ListenAddress } from "../../src/wire/port/listen-address.ts";

const adminPort = { host: "127.0.0.1", port: 9464 };

// What root, as whom tests may run, never meets, and what depends on who else listens on this machine.
it.each([
  [
    { name: "TOKEN_AUTHORITY_REST_LISTEN", canBeOff: true },
    { host: "127.0.0.1", port: 443 },
    "EACCES",
    /may not listen on port 443: set .* from 1024 on, or allow/,
  ],
  [
    { name: "TOKEN_AUTHORITY_ADMIN_LISTEN", canBeOff: true },
    adminPort,
    "EADDRINUSE",
    /\(9464 is what every exporter of OpenTelemetry takes\).*127\.0\.0\.1:9465, or to off/,
  ],
  [
    { name: "TOKEN_AUTHORITY_LISTEN", canBeOff: false },
    { host: "::1", port: 65_535 },
    "EADDRINUSE",
    /set TOKEN_AUTHORITY_LISTEN to another port, such as \[::1\]:65534$/,
  ],
  [
    { name: "TOKEN_AUTHORITY_LISTEN", canBeOff: false },
    { path: "/run/ro/s" },
    "EROFS",
    /this user may not write to the directory \/run\/ro: choose another$/,
  ],
  [
    { name: "TOKEN_AUTHORITY_LISTEN", canBeOff: false },
    { host: "::1", port: 1 },
    "EAFNOSUPPORT",
    /cannot listen on \[::1\]:1: listen EAFNOSUPPORT$/,
  ],
] as const satisfies readonly (readonly [ListenSetting, ListenAddress, string, RegExp])[])(
  "says what to do about %j at %j: %s",
  (setting, address, code, expected) => {
    const error = Object.assign(new Error(`listen ${code}`), { code, syscall: "listen" });
    const explained = explainListenError(setting, address, error);
    expect(explained).toBeInstanceOf(StartError);
    expect(explained).toMatchObject({ message: expect.stringMatching(expected) });
    expect(explained).toMatchObject({ message: expect.stringMatching(`^${setting.name}: [^\n]+$`) });
  },
);
