// The store on real PostgreSQL servers, which the suite starts by itself: the promises of a store on 15 and 18 and
// through pgbouncer, plans, several nodes, migrations, outages. Files of test/suites/postgres/, all or those that are
// named; what they may print beside their result is figures.
//
//   npm run suite:postgres -- [contract] [outages] …
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const config = join(import.meta.dirname, "postgres/vitest.config.ts");
const child = spawn(process.execPath, [vitest, "run", "--config", config, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
const [exitCode] = await once(child, "exit");
process.exitCode = exitCode === 0 ? 0 : 1;
