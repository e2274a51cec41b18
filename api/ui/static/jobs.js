// The list of jobs: filters and pages stand in the address, so they survive a reload and a link.

import { json } from "./api.js";
import { countText } from "./counts.js";
import { badge, el, find, problem, time } from "./dom.js";

const list = find("jobs");
const paging = find("paging");
const given = new URLSearchParams(location.search);

function query() {
  const asked = new URLSearchParams({ page_size: "25" });
  for (const name of ["state", "model", "page_token"]) if (given.get(name)) asked.set(name, given.get(name));
  const [name, ...value] = (given.get("label") ?? "").split("=");
  if (name.trim()) asked.set(`label.${name.trim()}`, value.join("=").trim());
  return asked;
}

function line(job) {
  const labels = Object.entries(job.labels).map(([name, value]) => el("span", { class: "chip" }, `${name}=${value}`));
  return el("li", {}, el("a", { class: "job", href: `/ui/jobs/${job.id}` },
    badge(job.state),
    el("span", { class: "job-main" }, el("code", {}, job.id), labels),
    el("span", { class: "soft" }, `${job.model.name}@${job.model.version}`),
    el("span", { class: `number ${job.rows.failed ? "error-text" : ""}` }, countText(job)),
    el("span", { class: "soft when" }, time(job.created_at))));
}

function nothing() {
  const filtered = [...given.values()].some(Boolean);
  return el("div", { class: "card empty" },
    el("p", { class: "empty-title" }, filtered ? "No job fits these filters" : "No jobs yet"),
    filtered ? el("p", {}, el("a", { href: "/ui/jobs" }, "Show all jobs"))
      : el("p", {}, "Upload a CSV or predict a row, and it will be listed here. ", el("a", { href: "/#file" }, "Upload a CSV")));
}

function pages(token) {
  const older = new URLSearchParams(given);
  older.set("page_token", token ?? "");
  const newest = new URLSearchParams(given);
  newest.delete("page_token");
  paging.replaceChildren(
    given.get("page_token") ? el("a", { class: "button", href: `/ui/jobs?${newest}` }, "Newest") : "",
    token ? el("a", { class: "button", href: `/ui/jobs?${older}` }, "Older jobs") : "");
  paging.hidden = !token && !given.get("page_token");
}

async function load() {
  try {
    const page = await json(`/jobs?${query()}`);
    list.replaceChildren(page.jobs.length ? el("ul", { class: "joblist card" }, page.jobs.map(line)) : nothing());
    pages(page.next_page_token);
    if (page.jobs.some((job) => !job.finished_at)) setTimeout(load, 3000);
  } catch (error) {
    list.replaceChildren(problem(error, el("button", { type: "button", click: load }, "Try again")));
  }
}

load();
