// The list of jobs. Filters and page are in the address, so reloading and links keep them.

import { json } from "./api.js";
import { asError, badge, el, find, problem, tagChips, time } from "./dom.js";
import { countText } from "./row_counts.js";
import { tagParameter } from "./tags.js";

/** @import { Job, JobsPage } from "../types" */

const list = find("jobs");
const paging = find("paging");
const address = new URLSearchParams(location.search);
const REFRESH_MS = 3000;

function query() {
  const parameters = new URLSearchParams({ page_size: "25" });
  for (const name of ["state", "model", "page_token"]) {
    const value = address.get(name);
    if (value) parameters.set(name, value);
  }
  const tag = tagParameter(address.get("label") ?? "");
  if (tag) parameters.set(...tag);
  return parameters;
}

/** @param {Job} job */
function item(job) {
  return el("li", {}, el("a", { class: "job", href: `/ui/jobs/${job.id}` },
    badge(job.state),
    el("span", { class: "job-main" }, el("code", {}, job.id), tagChips(job.labels)),
    el("span", { class: "soft" }, `${job.model.name}@${job.model.version}`),
    el("span", { class: `number ${job.rows.failed ? "error-text" : ""}` }, countText(job)),
    el("span", { class: "soft when" }, time(job.created_at))));
}

function emptyState() {
  const filtered = [...address.values()].some(Boolean);
  return el("div", { class: "card empty" },
    el("p", { class: "empty-title" }, filtered ? "No jobs match these filters" : "No jobs yet"),
    filtered ? el("p", {}, el("a", { href: "/ui/jobs" }, "Clear filters"))
      : el("p", {}, "Jobs are listed here after you upload a CSV or predict a row. ", el("a", { href: "/#file" }, "Upload a CSV")));
}

/** @param {string | null} nextToken */
function showPaging(nextToken) {
  const older = new URLSearchParams(address);
  older.set("page_token", nextToken ?? "");
  const newest = new URLSearchParams(address);
  newest.delete("page_token");
  paging.replaceChildren(
    address.get("page_token") ? el("a", { class: "button", href: `/ui/jobs?${newest}` }, "Newest") : "",
    nextToken ? el("a", { class: "button", href: `/ui/jobs?${older}` }, "Older") : "");
  paging.hidden = !nextToken && !address.get("page_token");
}

async function load() {
  try {
    /** @type {JobsPage} */
    const page = await json(`/jobs?${query()}`);
    list.replaceChildren(page.jobs.length ? el("ul", { class: "joblist card" }, page.jobs.map(item)) : emptyState());
    showPaging(page.next_page_token);
    if (page.jobs.some((job) => !job.finished_at)) setTimeout(load, REFRESH_MS);
  } catch (error) {
    list.replaceChildren(problem(asError(error), el("button", { type: "button", click: load }, "Try again")));
  }
}

load();
