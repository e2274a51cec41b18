// Rows that are pasted: JSON goes as it is, all else as the CSV or TSV that it is.

import { answerPlace } from "./answer.js";
import { submit } from "./api.js";
import { probabilityCell } from "./charts.js";
import { el, find, problem, rows as inWords, table } from "./dom.js";
import { resultsOf } from "./row.js";

const form = find("paste-form");
const text = find("rows");
const answer = answerPlace(find("paste-answer"));
const MOST = 1000;

function asJson(given, model, outputs) {
  let document;
  try {
    document = JSON.parse(given);
  } catch (error) {
    throw new Error(`This begins like JSON, but is none: ${error.message}`);
  }
  const instances = Array.isArray(document) ? document : document.instances ?? [document];
  // One row may come without the list around it.
  const list = typeof instances[0] === "number" ? [instances] : instances;
  return submit("/jobs", "application/json", JSON.stringify({ model, outputs, instances: list }));
}

function send(given, model, outputs) {
  if (/^\s*[[{]/.test(given)) return asJson(given, model, outputs);
  const query = new URLSearchParams({ model });
  for (const output of outputs) query.append("outputs", output);
  return submit(`/jobs?${query}`, "text/csv", `${given}\n`);
}

function line(row) {
  const found = row.error
    ? [el("td", { colspan: "2", class: "error-text" }, row.error.field ? `${row.error.field}: ` : "", row.error.detail)]
    : [el("td", {}, el("strong", {}, row.label)),
      el("td", { class: "bar-of" }, row.probabilities ? probabilityCell(row.probabilities[row.label]) : "–")];
  return el("tr", {}, el("th", { scope: "row", class: "number" }, row.row + 1), found);
}

function shown(found, job) {
  const failed = found.filter((row) => row.error).length;
  const said = `${inWords(found.length)}${failed ? `, ${failed} without a label` : ""}`;
  return el("div", { class: "card stack" },
    el("div", { class: "heading small" }, el("h2", {}, said), el("a", { href: `/ui/jobs/${job.id}` }, "See the job")),
    job.warnings.map((warning) => el("p", { class: "notice warn" }, warning)),
    table("Answers", [{ text: "Row", class: "number" }, "Label", "Probability"], found.map(line), { class: "bars" }));
}

async function predict(model, outputs) {
  const show = answer.begin();
  show(el("p", { class: "loading" }, "Predicting …"));
  try {
    const job = await send(text.value, model, outputs);
    if (job.rows.total <= MOST) show(shown(await resultsOf(job), job));
    else if (show()) location.assign(`/ui/jobs/${job.id}`);
  } catch (error) {
    show(problem(error));
  }
}

export function startPaste(model, outputs) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    predict(model, outputs);
  });
  form.addEventListener("input", answer.discard);
  form.addEventListener("reset", answer.discard);
  find("paste-sample").addEventListener("click", () => {
    answer.discard();
    text.value = text.dataset.sample;
  });
}
