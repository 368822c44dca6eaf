// Our HPACK against PyPI `hpack`, both ways: random header lists with table-size changes. hpack.ts [LISTS [SEED]],
// default 100000 1.
import assert from "node:assert/strict";
import { join } from "node:path";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { installPython } from "./support/tools.ts";

const [lists = "100000", seed = "1"] = process.argv.slice(2);
const report = createReport("hpack");
const python = await report.step("install hpack 4.2.0", () => installPython("hpack-4.2.0", ["hpack==4.2.0"]));
if (python !== null) {
  await report.step(`${lists} header lists, there and back`, async () => {
    const script = join(import.meta.dirname, "hpack", "roundtrip.py");
    const { exitCode, stdout, stderr } = await runProgram(python, [script, lists, seed], { timeoutMs: 15 * 60_000 });
    console.log(stdout.trim());
    assert.equal(exitCode, 0, stderr);
  });
}
report.close();
