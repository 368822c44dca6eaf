#!/usr/bin/env node
// The command `tokenctl`: main.ts on the Node 26 that the packages bring, whatever Node runs this file.
import { fileURLToPath } from "node:url";

// Half of a short command's time is reading source: compiled code is kept beside the packages, where that is allowed.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("../node_modules/.cache/tokenctl", import.meta.url));
process.argv.splice(2, 0, fileURLToPath(new URL("main.ts", import.meta.url)));
await import("../launch.js");
