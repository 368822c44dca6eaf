import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../../..");
/** Where the suites keep what they install. Set TOOLS_CACHE_DIR to keep it elsewhere. */
export const cacheDirectory = resolve(process.env.TOOLS_CACHE_DIR ?? join(root, ".cache"));
const installTimeoutMs = 8 * 60 * 1000;

/** Makes sure that the program of a Go module is there, and returns its path. */
export async function installGoProgram(program: string, version: string): Promise<string> {
  const name = program.slice(program.lastIndexOf("/") + 1);
  const directory = await installOnce(`${name}-${version}`, async (target) => {
    // Another Go than the one that is here would have to be downloaded.
    const env = { ...process.env, GOBIN: target, GOTOOLCHAIN: "local" };
    await run("go", ["install", `${program}@${version}`], { env, cwd: target, timeout: installTimeoutMs });
  });
  return join(directory, name);
}

/** Builds the Go program of this folder, which lies in a module, and returns its path. */
export async function buildGoProgram(folder: string): Promise<string> {
  const program = join(cacheDirectory, "go-programs", basename(folder));
  const env = { ...process.env, GOTOOLCHAIN: "local" };
  await run("go", ["build", "-o", program, "."], { env, cwd: folder, timeout: installTimeoutMs });
  return program;
}

/**
 * Builds the Rust program of this name, whose package is the folder, and returns its path. The first time takes
 * minutes.
 */
export async function buildRustProgram(folder: string, program: string): Promise<string> {
  const target = join(cacheDirectory, `${program}-rust`);
  const args = ["build", "--release", "--locked", "--quiet", "--target-dir", target];
  await run("cargo", args, { cwd: folder, timeout: installTimeoutMs });
  return join(target, "release", program);
}

/** Makes sure that a program of a Debian package is there: by apt-get, as whoever runs this, where it is not. */
export async function installDebianProgram(program: string, debianPackage: string): Promise<void> {
  try {
    await run(program, ["--version"]);
  } catch {
    // A fresh image has no lists of packages.
    await run("apt-get", ["update", "--quiet"], { timeout: installTimeoutMs });
    await run("apt-get", ["install", "--yes", "--quiet", debianPackage], { timeout: installTimeoutMs });
    await run(program, ["--version"]);
  }
}

/** Makes sure that a Python environment with these packages is there, and returns the path of its interpreter. */
export async function installPython(name: string, packages: readonly string[]): Promise<string> {
  const directory = await installOnce(name, async (target) => {
    await run("python3", ["-m", "venv", target], { timeout: installTimeoutMs });
    const args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages];
    await run(join(target, "bin", "python"), args, { timeout: installTimeoutMs });
  });
  return join(directory, "bin", "python");
}

/**
 * Makes sure that the program which a Python package brings is there, and returns its path. `requirement` has a
 * version.
 */
export async function installPythonProgram(program: string, requirement: string): Promise<string> {
  const interpreter = await installPython(requirement.replace("==", "-"), [requirement]);
  return join(dirname(interpreter), program);
}

// A marker beside the folder, not a rename of it: a Python environment cannot be moved.
async function installOnce(name: string, install: (target: string) => Promise<void>): Promise<string> {
  const target = join(cacheDirectory, name);
  const marker = join(cacheDirectory, `${name}.installed`);
  if (!existsSync(marker)) {
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target, { recursive: true });
    await install(target);
    writeFileSync(marker, "");
  }
  return target;
}

/** Debian's programs of these names. */
export type DebianPrograms = {
  /** What to put before PATH. */
  readonly path: string;
  /** Where the libraries are that the programs need and the machine may lack. */
  readonly libraryPath: string;
};

/** Unpacks Debian packages without installing them: nothing is configured, and no service is started. */
export async function unpackDebianPackages(packages: readonly string[]): Promise<DebianPrograms> {
  const directory = await installOnce(`debian-${packages.join("-")}`, async (target) => {
    const download = () => run("apt-get", ["download", ...packages], { cwd: target, timeout: installTimeoutMs });
    await download().catch(async () => {
      // The lists of packages are missing, or older than the packages.
      await run("apt-get", ["update"], { timeout: installTimeoutMs });
      await download();
    });
    for (const file of readdirSync(target)) {
      await run("dpkg", ["-x", join(target, file), target], { timeout: installTimeoutMs });
    }
  });
  const lib = join(directory, "usr/lib");
  const libraries = existsSync(lib) ? readdirSync(lib).map((name) => join(lib, name)) : [];
  return {
    path: [join(directory, "usr/sbin"), join(directory, "usr/bin")].join(":"),
    libraryPath: libraries.join(":"),
  };
}
