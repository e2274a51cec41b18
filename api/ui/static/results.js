// The results of a finished job: downloads, charts, failed rows and first rows.

import { json, save } from "./api.js";
import { key } from "./api_key.js";
import { countBars, driftBars, probabilityCell } from "./charts.js";
import { firstRows } from "./csv.js";
import { asError, el, find, problem, table } from "./dom.js";
import { integer, rows } from "./format.js";

/** @import { Job, JobSummary, ResultsPage, RowResult } from "../types" */

const MAX_FIRST_ROWS = 10;
const MAX_FAILED_ROWS = 50;
// Below this the service computes no drift.
const MIN_DRIFT_ROWS = 100;
// Below this the drift index is dominated by sampling noise.
const RELIABLE_DRIFT_ROWS = 500;

/**
 * @param {string} text
 * @param {string} path
 * @param {string} name of the file
 * @param {string} [kind] a class of the button
 */
function download(text, path, name, kind = "") {
  const link = el("a", { class: `button ${kind}`, href: path, download: name }, text);
  link.addEventListener("click", async (event) => {
    if (!key()) return;
    event.preventDefault();
    link.setAttribute("aria-busy", "true");
    try {
      await save(path, name);
    } catch (error) {
      find("problem").replaceChildren(problem(asError(error)));
    } finally {
      link.removeAttribute("aria-busy");
    }
  });
  return link;
}

/** @param {Job} job */
function downloads(job) {
  const { results, errors } = job.links;
  const name = `${job.id}-results`;
  return [
    download("Results (CSV)", `${results}?format=csv`, `${name}.csv`, "primary"),
    download("Results with input (CSV)", `${results}?format=csv&include=input`, `${name}-with-input.csv`),
    download("Results (NDJSON)", `${results}?format=ndjson`, `${name}.ndjson`),
    ...(job.rows.failed ? [download("Failed rows (CSV)", errors, `${job.id}-errors.csv`)] : []),
  ];
}

/**
 * Explain why there is no drift, and show the values outside the training range all the same.
 *
 * @param {JobSummary} summary
 */
function withoutDrift(summary) {
  const succeeded = Object.values(summary.counts).reduce((sum, count) => sum + count, 0);
  if (!succeeded) return [el("p", { class: "empty" }, "No predictions, so drift is not available.")];
  const reason = succeeded < MIN_DRIFT_ROWS
    ? `Drift requires at least ${MIN_DRIFT_ROWS} successful rows; this job has ${integer(succeeded)}.`
    : "Drift is not available for this job.";
  const outside = Object.keys(summary.out_of_range).length;
  return [el("p", { class: "hint" }, reason, outside ? " Values outside the training range:" : " All values are within the training range."),
    ...(outside ? [driftBars({}, summary.out_of_range)] : [])];
}

/** @param {JobSummary} summary */
function drift(summary) {
  if (!Object.keys(summary.drift).length) return withoutDrift(summary);
  const note = summary.drift_rows < RELIABLE_DRIFT_ROWS
    ? `With only ${rows(summary.drift_rows)}, much of it may be sampling noise.`
    : "Below 0.1 is stable, above 0.25 is high.";
  return [el("p", { class: "hint" }, "Population stability index (PSI) against the training data, and rows outside the training range. ", note),
    driftBars(summary.drift, summary.out_of_range)];
}

/**
 * @param {RowResult} row
 * @param {{ lines: boolean, probabilities: boolean }} columns which optional columns are shown
 */
function resultRow(row, columns) {
  const position = [el("th", { scope: "row", class: "number" }, row.row + 1), columns.lines ? el("td", { class: "number" }, row.line) : null];
  if (row.error) {
    return el("tr", {}, position, el("td", { class: "error-text", colspan: columns.probabilities ? "2" : "1" }, row.error.detail));
  }
  const probability = row.label === undefined ? undefined : row.probabilities?.[row.label];
  return el("tr", {}, position, el("td", {}, el("strong", {}, row.label)),
    columns.probabilities ? el("td", { class: "bar-of" }, probability === undefined ? "–" : probabilityCell(probability)) : null);
}

/** @param {Job} job */
async function showFirstRows(job) {
  /** @type {ResultsPage} */
  const page = await json(`${job.links.results}?limit=${MAX_FIRST_ROWS}`);
  const columns = { lines: page.results.some((row) => "line" in row), probabilities: job.outputs.includes("probabilities") };
  const header = [
    { text: "Row", class: "number" },
    ...(columns.lines ? [{ text: "Line", class: "number" }] : []),
    "Label",
    ...(columns.probabilities ? ["Probability"] : []),
  ];
  find("first").replaceChildren(page.results.length
    ? table("First rows", header, page.results.map((row) => resultRow(row, columns)), { class: "bars" })
    : el("p", { class: "empty" }, "No rows were processed."));
}

/** @param {Job} job */
async function showFailedRows(job) {
  find("failed-card").hidden = job.rows.failed === 0;
  if (job.rows.failed === 0) return;
  const { rows: [header, ...failed], more } = await firstRows(job.links.errors, MAX_FAILED_ROWS + 1);
  find("failed").replaceChildren(
    table("Failed rows", [{ text: header[0] === "line" ? "Line" : "Row", class: "number" }, "Column", "Error"],
      failed.map(([position, , field, detail]) => el("tr", {},
        el("th", { scope: "row", class: "number" }, position), el("td", {}, field || "–"), el("td", {}, detail)))),
    more ? el("p", { class: "hint" }, `First ${MAX_FAILED_ROWS} of ${rows(job.rows.failed)}. Download the CSV for all of them.`) : "");
}

/**
 * Show a loading state until `load` has filled the element, or its error with a retry button.
 *
 * @param {string} id
 * @param {() => Promise<void>} load
 */
async function fillElement(id, load) {
  find(id).replaceChildren(el("p", { class: "loading" }, "Loading …"));
  try {
    await load();
  } catch (error) {
    find(id).replaceChildren(problem(asError(error), el("button", { type: "button", click: () => fillElement(id, load) }, "Try again")));
  }
}

/** @param {Job} job */
export function showResults(job) {
  const { summary } = job;
  find("results").hidden = job.rows.total === 0;
  if (job.rows.total === 0) return;
  find("downloads").replaceChildren(...downloads(job));
  const counted = Object.keys(summary.counts).length;
  find("classes").replaceChildren(counted ? countBars(summary.counts) : el("p", { class: "empty" }, "No predictions."));
  find("drift").replaceChildren(...drift(summary));
  fillElement("first", () => showFirstRows(job));
  fillElement("failed", () => showFailedRows(job));
}
