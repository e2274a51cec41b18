// One row, typed into a form: hints while typing, then the label with its probabilities.

import { answerPlace } from "./answer.js";
import { json, submit } from "./api.js";
import { probabilityBars } from "./charts.js";
import { el, find, percent, problem } from "./dom.js";
import { isBlank, parseNumber } from "./number.js";

const form = find("row-form");
const button = form.querySelector("[type=submit]");
const answer = answerPlace(find("row-answer"));
let sample = 0;

const inputs = () => [...form.querySelectorAll("input")];

function hint(input) {
  const number = parseNumber(input.value);
  const low = number < Number(input.dataset.minimum), high = number > Number(input.dataset.maximum);
  const wrong = !isBlank(input.value) && Number.isNaN(number);
  const beyond = low || high;
  const said = wrong ? "Write a number such as 0.82" : beyond ? `${low ? "Below" : "Above"} the training range` : "";
  input.parentElement.classList.toggle("outside", beyond);
  input.setAttribute("aria-invalid", String(wrong));
  input.parentElement.querySelector(".beyond").textContent = said;
  return wrong;
}

function complain(input) {
  if (!isBlank(input.value)) return hint(input);
  input.setAttribute("aria-invalid", "true");
  input.parentElement.querySelector(".beyond").textContent = "A number is missing";
  return true;
}

function fillSample() {
  answer.discard();
  for (const input of inputs()) {
    const values = input.dataset.samples.trim().split(" ");
    input.value = values[sample % values.length];
    hint(input);
  }
  sample += 1;
}

/** Waits on until the job is finished, and gives its rows. */
export async function resultsOf(job) {
  while (!job.finished_at) job = await json(job.links.self, { headers: { Prefer: "wait=10" } });
  return job.results ?? (await json(`${job.links.results}?limit=1000`)).results;
}

function shown(row, job, outside) {
  if (row.error) return problem({ title: "The row has no label", message: row.error.detail });
  const sure = row.probabilities?.[row.label];
  return el("div", { class: "stack" },
    el("p", { class: "label-line" }, el("strong", { class: "label" }, row.label),
      sure === undefined ? null : el("span", { class: "soft" }, percent(sure))),
    row.probabilities ? probabilityBars(row.probabilities, row.label) : el("p", { class: "soft" }, "This model gives no probabilities."),
    outside ? el("p", { class: "notice warn" }, `${outside} of the measurements ${outside === 1 ? "lies" : "lie"} outside the training range: take the label with care.`) : null,
    el("p", { class: "hint" }, el("a", { href: `/ui/jobs/${job.id}` }, "See the job")));
}

async function predict(model, outputs) {
  const show = answer.begin();
  show(el("p", { class: "loading" }, "Predicting …"));
  button.disabled = true;
  try {
    const instances = [Object.fromEntries(inputs().map((input) => [input.name, parseNumber(input.value)]))];
    const job = await submit("/jobs", "application/json", JSON.stringify({ model, outputs, instances }));
    const [row] = await resultsOf(job);
    show(shown(row, job, form.querySelectorAll(".outside").length));
  } catch (error) {
    show(problem(error));
  } finally {
    button.disabled = false;
  }
}

export function startRow(model, outputs) {
  form.addEventListener("input", (event) => {
    answer.discard();
    // Other values may be sent before the answer to the former ones is there.
    button.disabled = false;
    hint(event.target);
  });
  form.addEventListener("reset", () => {
    setTimeout(() => inputs().forEach(hint));
    answer.discard();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer.discard();
    const wrong = inputs().filter(complain);
    if (wrong.length) wrong[0].focus();
    else predict(model, outputs);
  });
  find("sample").addEventListener("click", fillSample);
}
