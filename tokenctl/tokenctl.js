#!/usr/bin/env node
// The command `tokenctl`: main.ts on the Node 26 that the packages bring, whatever Node runs this file.
import { fileURLToPath } from "node:url";

process.argv.splice(2, 0, fileURLToPath(new URL("main.ts", import.meta.url)));
await import("../launch.js");
