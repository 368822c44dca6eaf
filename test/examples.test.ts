import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { readConfig } from "../src/config.ts";

const examples = resolve(import.meta.dirname, "../examples");

/** Every setting that a file gives, in the notation of any of them. */
function settingsIn(file: string): Readonly<Record<string, string>> {
  const text = readFileSync(resolve(examples, file), "utf8");
  const pairs = text.matchAll(/(?<!\w)(TOKEN_AUTHORITY_[A-Z_]+)(?:=|: |,?\s*value: )(?:"([^"]*)"|([^"\s}]+))/g);
  return Object.fromEntries([...pairs].map(([, name = "", quoted, plain]) => [name, quoted ?? plain ?? ""]));
}

it.each([
  ["systemd/token-authority.service"],
  ["docker/Dockerfile"],
  ["kubernetes/token-authority.yaml"],
  ["compose/compose.yaml"],
])("%s gives settings that there are, and values that they take", (file) => {
  const settings = settingsIn(file);
  expect(Object.keys(settings).length).toBeGreaterThan(2);
  expect(readConfig(settings)).toMatchObject({
    store: {
      revocationLog: settings.TOKEN_AUTHORITY_REVOCATION_LOG,
      marker: settings.TOKEN_AUTHORITY_MARKER,
    },
  });
});

it.each([["many-machines/compose.yaml"], ["many-machines/kubernetes.yaml"]])("%s gives what a node takes", (file) => {
  const config = readConfig({ ...settingsIn("docker/Dockerfile"), ...settingsIn(file) });
  expect([config.database === null, config.rpc.tls === null]).toEqual([false, false]);
});

it.each([["edge/token-authority-edge.service"], ["edge/sidecar.yaml"]])("%s gives what an edge takes", (file) => {
  const { upstream, rpc } = readConfig(settingsIn(file));
  expect([upstream?.tls === null, "path" in rpc.listen]).toEqual([false, true]);
});

it.each([
  ["systemd/token-authority.service", /^TimeoutStopSec=(\d+)$/m],
  ["kubernetes/token-authority.yaml", /terminationGracePeriodSeconds: (\d+)/],
  ["edge/token-authority-edge.service", /^TimeoutStopSec=(\d+)$/m],
  ["edge/sidecar.yaml", /terminationGracePeriodSeconds: (\d+)/],
  ["compose/compose.yaml", /stop_grace_period: (\d+)s/],
  ["many-machines/compose.yaml", /stop_grace_period: (\d+)s/],
  ["many-machines/kubernetes.yaml", /terminationGracePeriodSeconds: (\d+)/],
])("%s waits longer for the end than the grace", (file, pattern) => {
  const [, seconds] = pattern.exec(readFileSync(resolve(examples, file), "utf8")) ?? [];
  expect(Number(seconds) * 1000).toBeGreaterThan(readConfig(settingsIn(file)).shutdownGraceMs);
});

it.each([
  ["compose", ["./data", "./revocations", "../certificates"]],
  ["many-machines", ["./secrets", "../certificates"]],
])("%s/compose.yaml mounts what is there, or what its first lines make", (name, made) => {
  const folder = resolve(examples, name);
  const text = readFileSync(resolve(folder, "compose.yaml"), "utf8");
  const sources = [...text.matchAll(/^ +- (\.[^:\s]*):\//gm)].map(([, source = ""]) => source);
  expect(sources.filter((source) => !existsSync(resolve(folder, source)) && !made.includes(source))).toEqual([]);
  expect(sources).toEqual(expect.arrayContaining(made));
  const [, context = "", dockerfile = ""] = /build: \{ context: (\S+), dockerfile: (\S+) \}/.exec(text) ?? [];
  expect(existsSync(resolve(folder, context, dockerfile))).toBe(true);
});
