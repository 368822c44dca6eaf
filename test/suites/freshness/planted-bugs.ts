import type { Edit } from "../support/planted-copy.ts";
import type { GatewayKind } from "./programs.ts";
import type { ScenarioName } from "./scenarios.ts";

/** A rule that is taken away, where it stands in the source, and where that can show. */
export type PlantedBug = {
  readonly name: string;
  readonly edits: readonly Edit[];
  readonly gateways: readonly GatewayKind[];
  readonly scenarios: readonly ScenarioName[];
};

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "a cache of ten seconds",
    edits: [],
    gateways: ["typescript", "wrong"],
    scenarios: ["nothing fails"],
  },
];
