import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { killedInRotation, statesOfRotation } from "../../sqlite/killed-in-rotation.ts";

/** What changes files, and what threads wake each other with. */
const calls = ["pwrite64", "fdatasync", "fsync", "ftruncate", "write", "futex"];
/** More than a rotation needs of any. */
const maxCalls = 60;

/**
 * Kills a store at every system call of a rotation and of its end, one after the other, each in a directory of its own
 * below the folder. Returns what was found wrong, and how often it was killed.
 */
export async function killAtEveryCall(
  folder: string,
): Promise<{ readonly fault: string | null; readonly kills: number }> {
  const { status } = spawnSync("strace", ["-e", "inject=fsync:error=EIO:when=1", "true"]);
  if (status !== 0) {
    console.log("crash: no kills at each system call of a rotation: they need a working strace");
    return { fault: null, kills: 0 };
  }
  let kills = 0;
  for (const order of ["rotate", "endRotation"] as const) {
    const seen = new Set<string>();
    for (const call of calls) {
      for (let when = 1, state = ""; state !== "answered"; when += 1) {
        if (when > maxCalls) {
          return { fault: `${order} made more than ${maxCalls} calls of ${call}`, kills };
        }
        try {
          state = await killedInRotation(join(folder, `${order}-${call}-${when}`), order, call, when);
        } catch (error) {
          return { fault: String(error), kills };
        }
        kills += 1;
        seen.add(state);
      }
    }
    if (!statesOfRotation[order].every((state) => seen.has(state))) {
      return { fault: `no kill came before ${order}, or none after: ${[...seen].join(", ")}`, kills };
    }
  }
  return { fault: null, kills };
}
