/** The names of metrics and of their labels. */
export type Names = { readonly metrics: ReadonlySet<string>; readonly labels: ReadonlySet<string> };

const words = new Set(["by", "and", "or", "offset", "without", "on", "ignoring"]);

/** Those that expressions of PromQL use. */
export function namesInQueries(queries: readonly string[]): Names {
  const metrics = new Set<string>();
  const labels = new Set<string>();
  for (const query of queries) {
    const bare = query.replace(/"[^"]*"/g, '""');
    for (const [, inside = ""] of bare.matchAll(/\{([^}]*)\}/g)) {
      for (const [, label = ""] of inside.matchAll(/([a-z_]+)\s*(?:=~|!=|!~|=)/g)) {
        labels.add(label);
      }
    }
    for (const [, list = ""] of bare.matchAll(/\b(?:by|without|on)\s*\(([^)]*)\)/g)) {
      for (const label of list.split(",")) {
        labels.add(label.trim());
      }
    }
    const rest = bare.replace(/\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on)\s*\([^)]*\)/g, " ");
    for (const [name] of rest.matchAll(/\b[a-z][a-z0-9_]*\b(?!\s*\()/g)) {
      if (!words.has(name)) {
        metrics.add(name);
      }
    }
  }
  return { metrics, labels };
}

/** Those that a server serves. */
export function namesServed(text: string): Names {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const names = lines.map((line) => /^[a-z0-9_]+/.exec(line)?.[0] ?? "");
  const labels = lines.flatMap((line) => [...line.matchAll(/([a-z_]+)="/g)].map(([, label = ""]) => label));
  return { metrics: new Set(names), labels: new Set(labels) };
}
