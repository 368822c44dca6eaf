import packageJson from "../package.json" with { type: "json" };

/** What package.json says, which is the only place that says it. */
export const version: string = packageJson.version;
