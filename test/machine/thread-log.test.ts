import { expect, it } from "vitest";
import { StartError } from "../../src/machine/start-error.ts";
import { createThreadLog, type LogReport } from "../../src/machine/thread-log.ts";

it("keeps what an error says, and loses no line to a field that cannot be sent", () => {
  const reports: LogReport[] = [];
  const log = createThreadLog((report) => reports.push(structuredClone(report)));
  const cause = Object.assign(new Error("the disk"), { code: "EIO", retry() {} });
  log.error({ err: new StartError("it cannot", { cause }) }, "failed");
  log.warn({ what() {}, id: "x" }, "odd");
  expect(reports).toMatchObject([
    { fields: { err: { type: "StartError", message: "it cannot", cause: { message: "the disk", code: "EIO" } } } },
    { level: "warn", message: "odd" },
  ]);
});
