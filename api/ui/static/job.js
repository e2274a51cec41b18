// One job: its progress live, then what came of it. Its id is in the address, so a reload goes on.

import { call, json } from "./api.js";
import { follow } from "./events.js";
import { badge, duration, el, find, left, percent, problem, rows, time, whole } from "./dom.js";
import { countText } from "./counts.js";
import { showOutcome } from "./outcome.js";

const path = `/jobs/${find("job").dataset.job}`;
const ENDED = { canceled: "The job was canceled", expired: "The job expired" };
let finished = false;

function progressText(job) {
  const { total, succeeded, failed } = job.rows;
  const done = succeeded + failed;
  if (job.finished_at) {
    const took = (new Date(job.finished_at) - new Date(job.started_at ?? job.created_at)) / 1000;
    return `${countText(job)}, in ${duration(took)}`;
  }
  const rest = job.eta_seconds === null ? "" : `, ${left(job.eta_seconds)}`;
  const ahead = job.queue?.rows_ahead ? `; ${rows(job.queue.rows_ahead)} of other jobs ahead` : "";
  return `${whole(done)} of ${rows(total)}${rest}${ahead}`;
}

function fact(name, ...value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

function facts(job) {
  const { name, version } = job.model;
  const labels = Object.entries(job.labels).map(([key, value]) => el("span", { class: "chip" }, `${key}=${value}`));
  return [
    fact("Model", el("a", { href: `/ui/models/${name}/${version}` }, `${name}@${version}`)),
    fact("Created", time(job.created_at)),
    job.finished_at ? fact("Finished", time(job.finished_at)) : null,
    job.expires_at && job.finished_at ? fact("Kept until", time(job.expires_at)) : null,
    labels.length ? fact("Labels", labels) : null,
    job.retry_of ? fact("Again of", el("a", { href: `/ui/jobs/${job.retry_of}` }, "an earlier job")) : null,
  ].filter(Boolean);
}

function notices(job) {
  const failed = job.error ? [problem({ title: ENDED[job.state] ?? "The job failed", message: job.error.detail })] : [];
  return [...failed, ...job.warnings.map((warning) => el("p", { class: "notice warn" }, warning))];
}

function show(job) {
  document.title = `${job.state} ${job.finished_at ? "" : percent(job.progress)} · job · drybeans`;
  find("state").replaceChildren(badge(job.state));
  find("connection").textContent = job.finished_at ? "" : "Live";
  find("progress").value = job.progress;
  find("progress").className = job.state;
  find("progress-text").textContent = progressText(job);
  find("facts").replaceChildren(...facts(job));
  find("notices").replaceChildren(...notices(job));
  find("cancel").hidden = Boolean(job.finished_at);
  find("retry").hidden = !job.links.retry;
  find("delete").hidden = !job.finished_at;
  if (job.finished_at && !finished) {
    finished = true;
    showOutcome(job);
  }
}

function fail(error) {
  find("progress-card").hidden = error.status === 404 || error.status === 410;
  const again = el("button", { type: "button", click: start }, "Try again");
  const back = el("a", { class: "button", href: "/ui/jobs" }, "All jobs");
  find("problem").replaceChildren(problem(error, ...(find("progress-card").hidden ? [back] : [again])));
  find("connection").textContent = "";
}

async function start() {
  find("problem").replaceChildren();
  try {
    await follow(`${path}/events`, show, (pause) => {
      find("connection").textContent = `Connection lost; trying again in ${duration(pause / 1000)}`;
    });
    if (!finished) show(await json(path));
  } catch (error) {
    fail(error);
  }
}

async function attempt(work) {
  find("problem").replaceChildren();
  try {
    await work();
  } catch (error) {
    // It may have changed in the meantime; the events say so.
    find("problem").replaceChildren(problem(error));
  }
}

const post = (verb) => json(`${path}/${verb}`, { method: "POST" });

async function erase() {
  await call(path, { method: "DELETE" });
  // Going back must not lead to what is no longer there.
  location.replace("/ui/jobs");
}

const asked = find("delete-dialog");
find("cancel").addEventListener("click", () => attempt(async () => show(await post("cancel"))));
find("retry").addEventListener("click", () => attempt(async () => location.assign(`/ui/jobs/${(await post("retry")).id}`)));
find("delete").addEventListener("click", () => { asked.returnValue = ""; asked.showModal(); });
asked.addEventListener("close", () => asked.returnValue === "delete" && attempt(erase));
start();
