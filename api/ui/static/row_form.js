// The form for one row: hints while typing, then the predicted label with its probabilities.

import { json, submit } from "./api.js";
import { probabilityBars } from "./charts.js";
import { asError, el, find, problem } from "./dom.js";
import { percent } from "./format.js";
import { isBlank, parseNumber } from "./numbers.js";
import { resultPanel } from "./result_panel.js";

/** @import { Job, RowResult } from "../types" */

const form = find("row-form", HTMLFormElement);
const button = find("predict-row", HTMLButtonElement);
const panel = resultPanel(find("row-result"));
let sample = 0;

const inputs = () => [...form.querySelectorAll("input")];

/**
 * @param {HTMLInputElement} input
 * @param {string} text
 */
function setHint(input, text) {
  const place = input.parentElement?.querySelector(".input-hint");
  if (place) place.textContent = text;
}

/**
 * Update the hint of a field and return whether its text is invalid. Values outside the training
 * range are valid.
 *
 * @param {HTMLInputElement} input
 */
function checkField(input) {
  const number = parseNumber(input.value);
  const low = number < Number(input.dataset.minimum), high = number > Number(input.dataset.maximum);
  const invalid = !isBlank(input.value) && Number.isNaN(number);
  input.parentElement?.classList.toggle("outside", low || high);
  input.setAttribute("aria-invalid", String(invalid));
  if (invalid) setHint(input, "Enter a number such as 0.82");
  else setHint(input, low || high ? `${low ? "Below" : "Above"} the training range` : "");
  return invalid;
}

/** @param {HTMLInputElement} input */
function checkRequiredField(input) {
  if (!isBlank(input.value)) return checkField(input);
  input.setAttribute("aria-invalid", "true");
  setHint(input, "This field is required");
  return true;
}

function fillSample() {
  panel.discard();
  for (const input of inputs()) {
    const values = (input.dataset.samples ?? "").trim().split(" ");
    input.value = values[sample % values.length];
    checkField(input);
  }
  sample += 1;
}

/**
 * Wait until the job has finished and return its rows, 1000 at most.
 *
 * @param {Job} submitted
 * @returns {Promise<RowResult[]>}
 */
export async function resultsOf(submitted) {
  let job = submitted;
  while (!job.finished_at) job = await json(job.links.self, { headers: { Prefer: "wait=10" } });
  return job.results ?? (await json(`${job.links.results}?limit=1000`)).results;
}

/** @param {number} count */
const outsideWarning = (count) => `${count} ${count === 1 ? "measurement is" : "measurements are"} outside the training range; the prediction may be unreliable.`;

/**
 * @param {RowResult} row
 * @param {Job} job
 * @param {number} outside the number of measurements outside the training range
 */
function resultOf(row, job, outside) {
  if (row.error) return problem({ title: "This row failed", message: row.error.detail });
  const confidence = row.label === undefined ? undefined : row.probabilities?.[row.label];
  return el("div", { class: "stack" },
    el("p", { class: "label-line" }, el("strong", { class: "label" }, row.label),
      confidence === undefined ? null : el("span", { class: "soft" }, percent(confidence))),
    row.probabilities ? probabilityBars(row.probabilities, row.label)
      : el("p", { class: "soft" }, "This model does not output probabilities."),
    outside ? el("p", { class: "notice warn" }, outsideWarning(outside)) : null,
    el("p", { class: "hint" }, el("a", { href: `/ui/jobs/${job.id}` }, "View job")));
}

/**
 * @param {string} model
 * @param {string[]} outputs
 */
async function predict(model, outputs) {
  const show = panel.begin();
  show(el("p", { class: "loading" }, "Predicting …"));
  button.disabled = true;
  try {
    const instances = [Object.fromEntries(inputs().map((input) => [input.name, parseNumber(input.value)]))];
    const job = await submit("/jobs", "application/json", JSON.stringify({ model, outputs, instances }));
    const [row] = await resultsOf(job);
    show(resultOf(row, job, form.querySelectorAll(".outside").length));
  } catch (error) {
    show(problem(asError(error)));
  } finally {
    button.disabled = false;
  }
}

/**
 * @param {string} model
 * @param {string[]} outputs
 */
export function startRowForm(model, outputs) {
  form.addEventListener("input", (event) => {
    panel.discard();
    // Changed values may be sent while the previous request is pending.
    button.disabled = false;
    if (event.target instanceof HTMLInputElement) checkField(event.target);
  });
  form.addEventListener("reset", () => {
    setTimeout(() => inputs().forEach(checkField));
    panel.discard();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    panel.discard();
    const invalid = inputs().filter(checkRequiredField);
    if (invalid.length) invalid[0].focus();
    else predict(model, outputs);
  });
  find("sample").addEventListener("click", fillSample);
}
