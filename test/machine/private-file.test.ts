import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createPrivateFile, readPrivateFile } from "../../src/machine/private-file.ts";
import { StartError } from "../../src/machine/start-error.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "private-file-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function file(mode: number): string {
  const path = join(directory, "secret");
  writeFileSync(path, "content");
  chmodSync(path, mode);
  return path;
}

function refusalOf(path: string): string {
  try {
    readPrivateFile(path, "the secret");
  } catch (error) {
    expect(error).toBeInstanceOf(StartError);
    return String(error);
  }
  return "accepted";
}

describe("a file that holds a secret", () => {
  it.each([0o600, 0o400])("is read when only this user can read it: mode %o", (mode) => {
    expect(readPrivateFile(file(mode), "the secret").toString()).toBe("content");
  });

  it.each([0o644, 0o604, 0o620, 0o602, 0o610, 0o666])("is refused when others can use it: mode %o", (mode) => {
    const path = file(mode);
    expect(refusalOf(path)).toContain(
      `${path}: the secret is open to others than its owner (mode ${mode.toString(8)}): run chmod 600 on it`,
    );
  });

  it("is read through a link, by the mode of the file itself", () => {
    const path = file(0o600);
    const link = join(directory, "link");
    symlinkSync(path, link);
    expect(readPrivateFile(link, "the secret").toString()).toBe("content");
    chmodSync(path, 0o644);
    expect(refusalOf(link)).toContain("(mode 644)");
  });

  it("is refused when it is no regular file, without waiting for a pipe's writer", () => {
    const pipe = join(directory, "pipe");
    execFileSync("mkfifo", ["-m", "600", pipe]);
    expect(refusalOf(pipe)).toContain(`${pipe}: the secret must be a regular file`);
    expect(refusalOf(directory)).toContain("must be a regular file");
  });

  it("is refused when it is not there, with the system's code", () => {
    const path = join(directory, "none");
    expect(refusalOf(path)).toContain(`${path}: the secret cannot be read (ENOENT)`);
  });

  it("is refused when it is larger than any secret", () => {
    const path = file(0o600);
    writeFileSync(path, Buffer.alloc(1024 * 1024 + 1));
    expect(refusalOf(path)).toContain("must be at most 1048576 bytes");
  });

  const isRoot = process.getuid?.() === 0;
  it.skipIf(!isRoot)(
    "is refused when this user may not read it (needs root, which alone can become another user)",
    () => {
      const path = file(0o600);
      chmodSync(directory, 0o711);
      process.seteuid?.(65_534);
      try {
        expect(refusalOf(path)).toContain(
          `${path}: the secret cannot be read (EACCES): start as its owner, or run chown 65534 on it`,
        );
      } finally {
        process.seteuid?.(0);
      }
    },
  );

  it.skipIf(!isRoot)("is refused when it belongs to another user (needs root, which alone can give files away)", () => {
    const path = file(0o600);
    chownSync(path, 65_534, 0);
    expect(refusalOf(path)).toContain(`${path}: the secret belongs to another user (uid 65534)`);
  });
});

describe("a private file that is made", () => {
  it.each([0o000, 0o022, 0o777])("has mode 600 and its content, whatever the umask: %o", (umask) => {
    const path = join(directory, "new");
    const before = process.umask(umask);
    try {
      createPrivateFile(path, Buffer.from("content"));
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, "utf8")).toBe("content");
  });

  it("overwrites nothing", () => {
    const path = file(0o644);
    expect(() => createPrivateFile(path, Buffer.from("new"))).toThrow("EEXIST");
    expect(readFileSync(path, "utf8")).toBe("content");
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  it("follows no link, also one that leads nowhere", () => {
    const path = file(0o644);
    const link = join(directory, "link");
    symlinkSync(path, link);
    expect(() => createPrivateFile(link, Buffer.from("new"))).toThrow("EEXIST");
    rmSync(path);
    expect(() => createPrivateFile(link, Buffer.from("new"))).toThrow("EEXIST");
    expect(() => statSync(path)).toThrow("ENOENT");
  });
});
