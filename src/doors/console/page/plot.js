import { h } from "./dom.js";

const width = 600;

/**
 * @param {string} name
 * @param {Readonly<Record<string, string | number>>} props
 * @param {...Node} children
 */
function svg(name, props, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(props)) {
    element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * Bars, one a value.
 *
 * @param {readonly number[]} values
 * @param {number} greatest
 * @param {string} className
 * @param {string} text What a screen reader says in its place.
 */
export function barPlot(values, greatest, className, text) {
  const height = 24;
  const step = width / values.length;
  const bars = values.flatMap((value, at) => {
    if (value === 0) {
      return [];
    }
    const tall = Math.max(1.5, (value / greatest) * (height - 1));
    return [svg("rect", { x: at * step, y: height - 1 - tall, width: step - 2, height: tall })];
  });
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      class: `plot ${className}`,
      role: "img",
      "aria-label": text,
    },
    svg("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "axis" }),
    ...bars,
  );
}

/**
 * Times in milliseconds as lines, on a scale of powers of ten. A minute without a value is a gap, and one between two
 * gaps a dash.
 *
 * @param {readonly { readonly name: string, readonly values: readonly (number | null)[] }[]} lines
 * @param {string} text
 */
export function linePlot(lines, text) {
  const height = 140;
  const known = lines.flatMap(({ values }) => values.filter((value) => value !== null));
  const low = Math.floor(Math.log10(Math.min(...known)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...known))));
  /** @param {number} ms */
  const yOf = (ms) => height - ((Math.log10(ms) - low) / (high - low)) * height;
  const powers = Array.from({ length: high - low + 1 }, (_, at) => low + at);
  return h(
    "figure",
    { class: "line-figure" },
    h(
      "div",
      { class: "y-axis", "aria-hidden": "true" },
      powers.toReversed().map((power) => h("span", null, powerText(power))),
    ),
    svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        preserveAspectRatio: "none",
        class: "plot plot-large",
        role: "img",
        "aria-label": text,
      },
      ...powers.map((power) =>
        svg("line", { x1: 0, x2: width, y1: yOf(10 ** power), y2: yOf(10 ** power), class: "axis" }),
      ),
      ...lines.map(({ name, values }) => svg("path", { d: pathOf(values, yOf), class: `line-${name}` })),
    ),
    h(
      "div",
      { class: "x-axis", "aria-hidden": "true" },
      ["60 min ago", "30", "now"].map((label) => h("span", null, label)),
    ),
  );
}

/**
 * @param {readonly (number | null)[]} values
 * @param {(ms: number) => number} yOf
 */
function pathOf(values, yOf) {
  const step = width / (values.length - 1);
  return values
    .map((value, at) => {
      if (value === null) {
        return "";
      }
      const before = values[at - 1] ?? null;
      const after = values[at + 1] ?? null;
      const y = yOf(value).toFixed(1);
      if (before === null && after === null) {
        return `M${(at * step - step).toFixed(1)} ${y}h${step.toFixed(1)}`;
      }
      return `${before === null ? "M" : "L"}${(at * step).toFixed(1)} ${y}`;
    })
    .join("");
}

/** @param {number} power */
function powerText(power) {
  return power >= 3 ? `${10 ** (power - 3)} s` : `${power < 0 ? (10 ** power).toFixed(-power) : 10 ** power} ms`;
}
