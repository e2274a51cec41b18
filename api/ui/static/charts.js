// Bars in tables: one structure that is read by eyes and by screen readers alike.

import { el, percent, svg, table, whole } from "./dom.js";

function bar(share, marks = [], kind = "") {
  const width = Math.max(Math.min(share, 1) * 100, share > 0 ? 0.8 : 0);
  return svg("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8 }),
    svg("rect", { class: `fill ${kind}`, width: width.toFixed(2), height: 8 }),
    marks.map((at) => svg("rect", { class: "mark", x: (at * 100).toFixed(2), width: 0.5, height: 8 })));
}

/** Each class of `probabilities` with its bar, the likeliest first. */
export function probabilityBars(probabilities, label) {
  const sorted = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  return table("Probabilities", ["Class", "", { text: "Probability", class: "number" }], sorted.map(([name, share]) =>
    el("tr", { class: name === label ? "top" : "" }, el("th", { scope: "row" }, name),
      el("td", { class: "bar-of" }, bar(share, [], name === label ? "" : "weak")),
      el("td", { class: "number" }, percent(share)))), { class: "bars" });
}

/** One probability as a bar in a cell. */
export const probabilityCell = (share) => el("span", { class: "bar-cell" }, bar(share), el("span", { class: "number" }, percent(share)));

/** How many rows got each label. */
export function countBars(counts) {
  const sorted = Object.entries(counts).sort((a, b) => b[1] - a[1]);
  const all = sorted.reduce((sum, [, count]) => sum + count, 0);
  const most = sorted[0]?.[1] ?? 1;
  return table("Rows by label", ["Label", "", { text: "Rows", class: "number" }, { text: "Share", class: "number" }],
    sorted.map(([name, count]) => el("tr", {}, el("th", { scope: "row" }, name),
      el("td", { class: "bar-of" }, bar(count / most)),
      el("td", { class: "number" }, whole(count)), el("td", { class: "number" }, percent(count / all)))), { class: "bars" });
}

const SOME = 0.1;
const MUCH = 0.25;
const SCALE = 0.5;
const word = (index) => (index < SOME ? "steady" : index < MUCH ? "some" : "much");

/** How far each column moved from training, and how many rows lay outside its range. */
export function driftBars(drift, outside) {
  const names = [...new Set([...Object.keys(drift), ...Object.keys(outside)])];
  names.sort((a, b) => (drift[b] ?? 0) - (drift[a] ?? 0));
  return table("Drift by column", ["Column", "", { text: "Drift", class: "number" }, "", { text: "Outside", class: "number" }],
    names.map((name) => {
      const index = drift[name];
      const known = index !== undefined;
      return el("tr", {}, el("th", { scope: "row" }, name),
        el("td", { class: "bar-of" }, known ? bar(index / SCALE, [SOME / SCALE, MUCH / SCALE], word(index)) : ""),
        el("td", { class: "number" }, known ? index.toFixed(2) : "–"),
        el("td", { class: `drift-${known ? word(index) : "none"}` }, known ? word(index) : ""),
        el("td", { class: "number" }, outside[name] ? whole(outside[name]) : "–"));
    }), { class: "bars drift" });
}
