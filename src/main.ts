import { enableCompileCache } from "node:module";
import { join } from "node:path";

// Before anything else: left alone, the first opens Node's debugger to every user of the machine, and the second ends
// the process as it stands. Neither means anything here.
for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
  process.on(signal, () => {});
}

// A start is as long as an upgrade's outage, and most of it is reading source: the compiled code is kept beside the
// packages. A user who may change that folder may change the program anyway. A folder that cannot be written is no
// error.
const { directory } = enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/token-authority"));
if (directory !== undefined) {
  // For the threads, which read it here.
  process.env.NODE_COMPILE_CACHE = directory;
}

const { run } = await import("./run.ts");
await run(process);
