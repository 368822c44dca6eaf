// Runs a program with the Node 26 that the packages bring, whatever Node runs this file: node launch.js FILE
// [ARGUMENT…]
//
// Five packages have a program of one name, and some versions of npm then make no link to it in node_modules/.bin.
// So this file asks the package itself. It is JavaScript that Node 18 understands, and needs no package.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const neededMajor = 26;
const passedOn = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH"];
const root = dirname(fileURLToPath(import.meta.url));

/** The packaged Node, else the one that runs this file if it is new enough. Throws what is wrong. */
function findNode() {
  const own = Number.parseInt(process.versions.node, 10) >= neededMajor ? process.execPath : null;
  const complaints = [];
  const name = packageName();
  const packaged = name === null ? null : programOf(name);
  if (packaged === null) {
    complaints.push(
      name === null
        ? `no package brings one for ${process.platform} on ${process.arch}`
        : `the package ${name} is not in ${join(root, "node_modules")}: run \`npm ci\`, with optional packages`,
    );
  } else {
    const complaint = packaged === process.execPath ? null : complaintOf(packaged, ["--version"]);
    if (complaint === null) {
      return packaged;
    }
    complaints.push(`${packaged} does not run here: ${complaint}`);
  }
  if (own === null) {
    throw new Error(`needs Node ${neededMajor}, and this is Node ${process.versions.node}; ${complaints.join("; ")}`);
  }
  return own;
}

function packageName() {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const machine = `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  return Object.keys(optionalDependencies).find((name) => name.endsWith(`-${machine}`)) ?? null;
}

function programOf(name) {
  const directory = join(root, "node_modules", name);
  const file = join(directory, "package.json");
  return existsSync(file) ? join(directory, JSON.parse(readFileSync(file, "utf8")).bin.node) : null;
}

/** Null when the program ends well. */
function complaintOf(program, args) {
  const { status, error, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? null : (error?.message ?? stderr.trim().split("\n")[0]);
}

/** Becomes the program: same process, so that signals, exit code and `kill -9` are its own. */
function become(node, args) {
  process.execve(node, [node, ...args], { ...process.env });
}

/** Where a process cannot become another: a child, to which signals go on, and whose end is this process' end. */
function runAsChild(node, args) {
  const isWindows = process.platform === "win32";
  // A kill -9 cannot be passed on: the kernel does it, where it can.
  const guard = ["--pdeathsig", "KILL"];
  const isGuarded = !isWindows && complaintOf("setpriv", [...guard, "true"]) === null;
  const [program, programArgs] = isGuarded ? ["setpriv", [...guard, node, ...args]] : [node, args];
  let child;
  // Before there is a child: a signal that meets its start waits for it, and does not end this process alone.
  for (const signal of passedOn.filter((name) => !isWindows || name === "SIGINT")) {
    // Windows gives a Ctrl-C to both, and knows no other way of asking.
    process.on(signal, () => isWindows || child.kill(signal));
  }
  // In a process group of its own, or else it would have a terminal's Ctrl-C twice: a second one means "at once".
  child = spawn(program, programArgs, { stdio: "inherit", detached: !isWindows });
  child.on("exit", (code, signal) => {
    if (signal === null) {
      process.exit(code);
    }
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

try {
  const node = findNode();
  // Until a program has a listener for it, SIGUSR1 would open Node's debugger to every user of the machine.
  const args = ["--disable-sigusr1", ...process.argv.slice(2)];
  // For programs that begin with `#!/usr/bin/env node`.
  process.env.PATH = `${dirname(node)}${delimiter}${process.env.PATH ?? ""}`;
  if (process.execve !== undefined && process.platform !== "win32") {
    become(node, args);
  } else {
    runAsChild(node, args);
  }
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
