import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../support/ports.ts";

export type Collector = AsyncDisposable & {
  /** Where it takes OTLP over HTTP. */
  readonly url: string;
};

/** Starts the OpenTelemetry Collector, which sends all that it takes to `target`, and resolves when it is ready. */
export async function startCollector(program: string, directory: string, target: string): Promise<Collector> {
  const port = await freePort();
  const file = join(directory, "collector.yaml");
  const template = readFileSync(join(import.meta.dirname, "collector.yaml"), "utf8");
  writeFileSync(file, template.replace("RECEIVE", `127.0.0.1:${port}`).replace("SEND", target));
  const child = spawn(program, ["--config", file], { stdio: ["ignore", "ignore", "pipe"] });
  const lines: string[] = [];
  const ended = once(child, "exit").then(() => "ended" as const);
  const ready = new Promise<"ready">((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      if (line.includes("Everything is ready")) {
        resolve("ready");
      }
    });
  });
  if ((await Promise.race([ready, ended])) === "ended") {
    throw new Error(`the collector did not start:\n${lines.join("\n")}`);
  }
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}
