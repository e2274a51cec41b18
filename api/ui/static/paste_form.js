// The form for pasted rows: JSON is sent as JSON, anything else as CSV or TSV.

import { submit } from "./api.js";
import { probabilityCell } from "./charts.js";
import { asError, el, find, problem, table } from "./dom.js";
import { rows as rowsText } from "./format.js";
import { resultPanel } from "./result_panel.js";
import { resultsOf } from "./row_form.js";

/** @import { Job, RowResult } from "../types" */

const form = find("paste-form", HTMLFormElement);
const input = find("rows", HTMLTextAreaElement);
const panel = resultPanel(find("paste-result"));
const MAX_SHOWN_ROWS = 1000;

/**
 * @param {string} text
 * @param {string} model
 * @param {string[]} outputs
 */
function submitJson(text, model, outputs) {
  let document;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new Error(`Invalid JSON: ${asError(error).message}`, { cause: error });
  }
  const instances = Array.isArray(document) ? document : document.instances ?? [document];
  // A single row is accepted without the list around it.
  const list = typeof instances[0] === "number" ? [instances] : instances;
  return submit("/jobs", "application/json", JSON.stringify({ model, outputs, instances: list }));
}

/**
 * @param {string} text
 * @param {string} model
 * @param {string[]} outputs
 */
async function submitText(text, model, outputs) {
  if (/^\s*[[{]/.test(text)) return submitJson(text, model, outputs);
  const query = new URLSearchParams({ model });
  for (const output of outputs) query.append("outputs", output);
  return submit(`/jobs?${query}`, "text/csv", `${text}\n`);
}

/** @param {RowResult} row */
function resultRow(row) {
  const probability = row.label === undefined ? undefined : row.probabilities?.[row.label];
  const cells = row.error
    ? [el("td", { colspan: "2", class: "error-text" }, row.error.field ? `${row.error.field}: ` : "", row.error.detail)]
    : [el("td", {}, el("strong", {}, row.label)),
      el("td", { class: "bar-of" }, probability === undefined ? "–" : probabilityCell(probability))];
  return el("tr", {}, el("th", { scope: "row", class: "number" }, row.row + 1), cells);
}

/**
 * @param {RowResult[]} results
 * @param {Job} job
 */
function resultTable(results, job) {
  const failed = results.filter((row) => row.error).length;
  const title = `${rowsText(results.length)}${failed ? `, ${failed} failed` : ""}`;
  return el("div", { class: "card stack" },
    el("div", { class: "heading small" }, el("h2", {}, title), el("a", { href: `/ui/jobs/${job.id}` }, "View job")),
    job.warnings.map((warning) => el("p", { class: "notice warn" }, warning)),
    table("Predictions", [{ text: "Row", class: "number" }, "Label", "Probability"], results.map(resultRow), { class: "bars" }));
}

/**
 * @param {string} model
 * @param {string[]} outputs
 */
async function predict(model, outputs) {
  const show = panel.begin();
  show(el("p", { class: "loading" }, "Predicting …"));
  try {
    const job = await submitText(input.value, model, outputs);
    if (job.rows.total <= MAX_SHOWN_ROWS) show(resultTable(await resultsOf(job), job));
    else if (show()) location.assign(`/ui/jobs/${job.id}`);
  } catch (error) {
    show(problem(asError(error)));
  }
}

/**
 * @param {string} model
 * @param {string[]} outputs
 */
export function startPasteForm(model, outputs) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    predict(model, outputs);
  });
  form.addEventListener("input", panel.discard);
  form.addEventListener("reset", panel.discard);
  find("paste-sample").addEventListener("click", () => {
    panel.discard();
    input.value = input.dataset.sample ?? "";
  });
}
