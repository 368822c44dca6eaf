// The clients that other services use, by their own tests in their own languages, against real processes of the
// authority.
import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkGoClient } from "./clients/go.ts";
import { checkPythonClient } from "./clients/python.ts";
import { createRig } from "./clients/rig.ts";
import { checkTypeScriptClient } from "./clients/typescript.ts";
import { createReport } from "./support/report.ts";

const report = createReport("clients");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-clients-"));
const rig = createRig(scratch.path);
await report.step("Go: generated code, gofmt, vet, tests", () => checkGoClient(rig, scratch.path));
await report.step("Python: generated code, ruff, mypy, tests", () => checkPythonClient(rig, scratch.path));
await report.step("TypeScript: generated code, tests", () => checkTypeScriptClient(rig, scratch.path));
report.close();
