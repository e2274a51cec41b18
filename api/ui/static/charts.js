// Bar charts as table rows, which screen readers read as tables.

import { el, svg, table } from "./dom.js";
import { integer, percent } from "./format.js";

/**
 * @param {number} share a fraction; values above 1 fill the bar
 * @param {number[]} [marks] positions of thresholds, as fractions
 * @param {string} [kind] a class for the colour
 */
function bar(share, marks = [], kind = "") {
  const width = Math.max(Math.min(share, 1) * 100, share > 0 ? 0.8 : 0);
  return svg("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8 }),
    svg("rect", { class: `fill ${kind}`, width: width.toFixed(2), height: 8 }),
    marks.map((at) => svg("rect", { class: "mark", x: (at * 100).toFixed(2), width: 0.5, height: 8 })));
}

/** @param {Record<string, number>} values */
const descending = (values) => Object.entries(values).sort((a, b) => b[1] - a[1]);

/**
 * Create a table of class probabilities, the most likely class first.
 *
 * @param {Record<string, number>} probabilities
 * @param {string | undefined} label the predicted class
 */
export function probabilityBars(probabilities, label) {
  const header = ["Class", "", { text: "Probability", class: "number" }];
  return table("Probabilities", header, descending(probabilities).map(([name, share]) =>
    el("tr", { class: name === label ? "top" : "" }, el("th", { scope: "row" }, name),
      el("td", { class: "bar-of" }, bar(share, [], name === label ? "" : "weak")),
      el("td", { class: "number" }, percent(share)))), { class: "bars" });
}

/**
 * Create the content of a cell that shows one probability.
 *
 * @param {number} share
 */
export const probabilityCell = (share) =>
  el("span", { class: "bar-cell" }, bar(share), el("span", { class: "number" }, percent(share)));

/**
 * Create a table of the numbers of rows by predicted label, the most frequent first.
 *
 * @param {Record<string, number>} counts
 */
export function countBars(counts) {
  const sorted = descending(counts);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  const max = sorted[0]?.[1] ?? 1;
  return table("Rows by label", ["Label", "", { text: "Rows", class: "number" }, { text: "Share", class: "number" }],
    sorted.map(([name, count]) => el("tr", {}, el("th", { scope: "row" }, name),
      el("td", { class: "bar-of" }, bar(count / max)),
      el("td", { class: "number" }, integer(count)), el("td", { class: "number" }, percent(count / total)))), { class: "bars" });
}

// The usual thresholds of the population stability index.
export const MODERATE_DRIFT = 0.1;
export const HIGH_DRIFT = 0.25;
const MAX_SHOWN = 0.5;

/**
 * Return the level of a population stability index.
 *
 * @param {number} index
 */
export function driftLevel(index) {
  if (index < MODERATE_DRIFT) return "stable";
  return index < HIGH_DRIFT ? "moderate" : "high";
}

/**
 * @param {string} name
 * @param {number | undefined} index
 * @param {number | undefined} outside
 */
function driftRow(name, index, outside) {
  const marks = [MODERATE_DRIFT / MAX_SHOWN, HIGH_DRIFT / MAX_SHOWN];
  const level = index === undefined ? "" : driftLevel(index);
  return el("tr", {}, el("th", { scope: "row" }, name),
    el("td", { class: "bar-of" }, index === undefined ? "" : bar(index / MAX_SHOWN, marks, level)),
    el("td", { class: "number" }, index === undefined ? "–" : index.toFixed(2)),
    el("td", { class: `drift-${level || "none"}` }, level),
    el("td", { class: "number" }, outside ? integer(outside) : "–"));
}

/**
 * Create a table of each column's drift and number of rows outside its training range.
 *
 * @param {Record<string, number>} drift
 * @param {Record<string, number>} outside
 */
export function driftBars(drift, outside) {
  const names = [...new Set([...Object.keys(drift), ...Object.keys(outside)])];
  names.sort((a, b) => (drift[b] ?? 0) - (drift[a] ?? 0));
  return table("Drift by column", ["Column", "", { text: "PSI", class: "number" }, "Drift", { text: "Out of range", class: "number" }],
    names.map((name) => driftRow(name, drift[name], outside[name])), { class: "bars drift" });
}
