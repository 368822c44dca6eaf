import { join } from "node:path";
import { buildGoProgram, installPython } from "../support/tools.ts";
import type { GatewayProgram } from "./gateway-process.ts";

const folder = "test/suites/freshness";
const packages = ["googleapis-common-protos==1.76.0", "grpcio==1.85.3", "protobuf==7.36.2"];

/** Each takes a copy of the project, or the project. */
export const gatewayPrograms = {
  async go(root: string): Promise<GatewayProgram> {
    return { language: "go", program: await buildGoProgram(join(root, folder, "gateway-go")), args: [] };
  },
  async python(root: string): Promise<GatewayProgram> {
    const program = await installPython("freshness-gateway", packages);
    const env = { PYTHONPATH: join(root, "clients/python/src"), PYTHONDONTWRITEBYTECODE: "1" };
    return { language: "python", program, args: [join(root, folder, "gateway.py")], env };
  },
  async typescript(root: string): Promise<GatewayProgram> {
    return { language: "typescript", program: process.execPath, args: [join(root, folder, "gateway.ts")], cwd: root };
  },
  /** The authority's own program, beside a gateway that has no client in it. */
  async edge(root: string): Promise<GatewayProgram> {
    return { language: "edge", program: process.execPath, args: ["src/main.ts"], cwd: root };
  },
  /** One that keeps its answers for a while, and so breaks the promise. */
  async wrong(root: string): Promise<GatewayProgram> {
    return { language: "wrong", program: process.execPath, args: [join(root, folder, "wrong-gateway.ts")], cwd: root };
  },
} as const;

export type GatewayKind = keyof typeof gatewayPrograms;
