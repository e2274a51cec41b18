// What came of a finished job: charts, first rows, rows that failed, downloads.

import { json, save } from "./api.js";
import { countBars, driftBars, probabilityCell } from "./charts.js";
import { firstRows } from "./csv.js";
import { el, find, problem, rows, table, whole } from "./dom.js";
import { key } from "./key.js";

const FIRST = 10;
const BAD = 50;
const FEW = 500;
const LEAST = 100;

function download(text, path, name, kind = "") {
  const link = el("a", { class: `button ${kind}`, href: path, download: name }, text);
  link.addEventListener("click", async (event) => {
    if (!key()) return;
    event.preventDefault();
    link.setAttribute("aria-busy", "true");
    try {
      await save(path, name);
    } catch (error) {
      find("problem").replaceChildren(problem(error));
    } finally {
      link.removeAttribute("aria-busy");
    }
  });
  return link;
}

function downloads(job) {
  const { results, errors } = job.links;
  const name = `${job.id}-results`;
  return [
    download("Results (CSV)", `${results}?format=csv`, `${name}.csv`, "primary"),
    download("Results with measurements", `${results}?format=csv&include=input`, `${name}-with-input.csv`),
    download("Results (NDJSON)", `${results}?format=ndjson`, `${name}.ndjson`),
    job.rows.failed ? download("Rows that failed, to mend", errors, `${job.id}-errors.csv`) : null,
  ].filter(Boolean);
}

// Without a drift: why there is none, and what is known all the same.
function withoutDrift(summary) {
  const labelled = Object.values(summary.counts).reduce((sum, count) => sum + count, 0);
  if (!labelled) return [el("p", { class: "empty" }, "No row has a label, so there is nothing to compare with training.")];
  const why = labelled < LEAST
    ? `Drift is computed from at least ${LEAST} rows with a label; here ${labelled === 1 ? "is" : "are"} ${whole(labelled)}.`
    : "There is no drift for this job.";
  const outside = Object.keys(summary.out_of_range).length;
  return [el("p", { class: "hint" }, why, outside ? " Some values lie outside the training range:" : " Every value lies within the training range."),
    outside ? driftBars({}, summary.out_of_range) : ""];
}

function drift(summary) {
  if (!Object.keys(summary.drift).length) return withoutDrift(summary);
  const small = summary.drift_rows < FEW
    ? `With only ${rows(summary.drift_rows)} much of this is chance.` : "Below 0.1 nothing has changed, above 0.25 much has.";
  return [el("p", { class: "hint" }, "How far the values moved from those in training, and rows outside the training range. ", small),
    driftBars(summary.drift, summary.out_of_range)];
}

function firstLine(row, lines, chances) {
  const at = [el("th", { scope: "row", class: "number" }, row.row + 1), lines ? el("td", { class: "number" }, row.line) : null];
  if (row.error) return el("tr", {}, at, el("td", { class: "error-text", colspan: chances ? "2" : "1" }, row.error.detail));
  return el("tr", {}, at, el("td", {}, el("strong", {}, row.label)),
    chances ? el("td", { class: "bar-of" }, probabilityCell(row.probabilities[row.label])) : null);
}

async function showFirst(job) {
  const page = await json(`${job.links.results}?limit=${FIRST}`);
  const lines = page.results.some((row) => "line" in row);
  const chances = job.outputs.includes("probabilities");
  const head = [{ text: "Row", class: "number" }, ...(lines ? [{ text: "Line", class: "number" }] : []), "Label", ...(chances ? ["Probability"] : [])];
  find("first").replaceChildren(page.results.length
    ? table("First rows", head, page.results.map((row) => firstLine(row, lines, chances)), { class: "bars" })
    : el("p", { class: "empty" }, "No row was run."));
}

async function showBad(job) {
  find("bad-card").hidden = job.rows.failed === 0;
  if (job.rows.failed === 0) return;
  const { rows: [head, ...found], more } = await firstRows(job.links.errors, BAD + 1);
  find("bad").replaceChildren(
    table("Rows that failed", [{ text: head[0] === "line" ? "Line" : "Row", class: "number" }, "Column", "Reason"],
      found.map(([where, , field, detail]) => el("tr", {},
        el("th", { scope: "row", class: "number" }, where), el("td", {}, field || "–"), el("td", {}, detail)))),
    more ? el("p", { class: "hint" }, `The first ${BAD} of ${rows(job.rows.failed)}; the download has all.`) : "");
}

async function guarded(place, work) {
  find(place).replaceChildren(el("p", { class: "loading" }, "Loading …"));
  try {
    await work();
  } catch (error) {
    find(place).replaceChildren(problem(error, el("button", { type: "button", click: () => guarded(place, work) }, "Try again")));
  }
}

export function showOutcome(job) {
  const summary = job.summary;
  // Without rows there is nothing to show or to download.
  find("outcome").hidden = job.rows.total === 0;
  if (find("outcome").hidden) return;
  find("downloads").replaceChildren(...downloads(job));
  const counted = Object.keys(summary.counts).length;
  find("classes").replaceChildren(counted ? countBars(summary.counts) : el("p", { class: "empty" }, "No row has a label."));
  find("drift").replaceChildren(...drift(summary));
  guarded("first", () => showFirst(job));
  guarded("bad", () => showBad(job));
}
