// The clients that other services use, by their own tests in their own languages, against real processes of the authority.
import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRig } from "./clients/rig.ts";
import { checkTypeScript } from "./clients/typescript.ts";
import { createReport } from "./support/report.ts";

const report = createReport("clients");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-clients-"));
const rig = createRig(scratch.path);
// One step a language, each in a file of its own beside the rig: clients/go.ts, clients/python.ts, clients/typescript.ts.
await report.step("TypeScript", () => checkTypeScript(rig));
report.close();
