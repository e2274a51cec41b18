// One job: live progress, then its results. Its id is in the address, so reloading shows it again.

import { call, json, Problem } from "./api.js";
import { asError, badge, el, find, problem, tagChips, time } from "./dom.js";
import { follow } from "./events.js";
import { duration, integer, percent, remaining, rows } from "./format.js";
import { showResults } from "./results.js";
import { countText } from "./row_counts.js";

/** @import { Job } from "../types" */
/** @import { Child } from "./dom.js" */

const path = `/jobs/${find("job").dataset.job}`;
/** @type {Record<string, string>} */
const TITLES = { canceled: "Job canceled", expired: "Job expired" };
let finished = false;

/** @param {Job} job */
function progressText(job) {
  const { total, succeeded, failed } = job.rows;
  if (job.finished_at) {
    const took = (Date.parse(job.finished_at) - Date.parse(job.started_at ?? job.created_at)) / 1000;
    return `${countText(job)}, in ${duration(took)}`;
  }
  const rest = job.eta_seconds === null ? "" : `, ${remaining(job.eta_seconds)}`;
  const ahead = job.queue?.rows_ahead ? `; ${rows(job.queue.rows_ahead)} of other jobs ahead` : "";
  return `${integer(succeeded + failed)} of ${rows(total)}${rest}${ahead}`;
}

/**
 * @param {string} name
 * @param {Child | Child[]} value
 */
function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

/** @param {Job} job */
function facts(job) {
  const { name, version } = job.model;
  const tags = tagChips(job.labels);
  return [
    fact("Model", el("a", { href: `/ui/models/${name}/${version}` }, `${name}@${version}`)),
    fact("Created", time(job.created_at)),
    job.finished_at ? fact("Finished", time(job.finished_at)) : null,
    job.expires_at && job.finished_at ? fact("Deleted after", time(job.expires_at)) : null,
    tags.length ? fact("Tags", tags) : null,
    job.retry_of ? fact("Retry of", el("a", { href: `/ui/jobs/${job.retry_of}` }, el("code", {}, job.retry_of))) : null,
  ].filter((one) => one !== null);
}

/** @param {Job} job */
function notices(job) {
  const failed = job.error ? [problem({ title: TITLES[job.state] ?? "Job failed", message: job.error.detail })] : [];
  return [...failed, ...job.warnings.map((warning) => el("p", { class: "notice warn" }, warning))];
}

/** @param {Job} job */
function show(job) {
  document.title = `${job.state} ${job.finished_at ? "" : percent(job.progress)} · job · drybeans`;
  find("state").replaceChildren(badge(job.state));
  find("connection").textContent = job.finished_at ? "" : "Live";
  find("progress", HTMLProgressElement).value = job.progress;
  find("progress").className = job.state;
  find("progress-text").textContent = progressText(job);
  find("facts").replaceChildren(...facts(job));
  find("notices").replaceChildren(...notices(job));
  find("cancel").hidden = Boolean(job.finished_at);
  find("retry").hidden = !job.links.retry;
  find("delete").hidden = !job.finished_at;
  if (job.finished_at && !finished) {
    finished = true;
    showResults(job);
  }
}

/** @param {unknown} error */
function showFailure(error) {
  const gone = error instanceof Problem && (error.status === 404 || error.status === 410);
  find("progress-card").hidden = gone;
  const action = gone ? el("a", { class: "button", href: "/ui/jobs" }, "All jobs")
    : el("button", { type: "button", click: start }, "Try again");
  find("problem").replaceChildren(problem(asError(error), action));
  find("connection").textContent = "";
}

async function start() {
  find("problem").replaceChildren();
  try {
    await follow(`${path}/events`, show, (delay) => {
      find("connection").textContent = `Connection lost. Reconnecting in ${duration(delay / 1000)} …`;
    });
    if (!finished) show(await json(path));
  } catch (error) {
    showFailure(error);
  }
}

/** @param {() => Promise<void>} action */
async function attempt(action) {
  find("problem").replaceChildren();
  try {
    await action();
  } catch (error) {
    find("problem").replaceChildren(problem(asError(error)));
  }
}

/**
 * @param {"cancel" | "retry"} action
 * @returns {Promise<Job>}
 */
const post = (action) => json(`${path}/${action}`, { method: "POST" });

async function deleteJob() {
  await call(path, { method: "DELETE" });
  // Replaced, so that going back does not open the deleted job.
  location.replace("/ui/jobs");
}

const deleteDialog = find("delete-dialog", HTMLDialogElement);
find("cancel").addEventListener("click", () => attempt(async () => show(await post("cancel"))));
find("retry").addEventListener("click", () => attempt(async () => location.assign(`/ui/jobs/${(await post("retry")).id}`)));
find("delete").addEventListener("click", () => { deleteDialog.returnValue = ""; deleteDialog.showModal(); });
deleteDialog.addEventListener("close", () => { if (deleteDialog.returnValue === "delete") attempt(deleteJob); });
start();
