// Makes elements, and writes numbers, times and problems for people.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Makes an element; a function among the attributes listens to the event of that name. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

export const find = (id) => document.getElementById(id);

export const whole = (number) => number.toLocaleString("en");
export const rows = (number) => `${whole(number)} ${number === 1 ? "row" : "rows"}`;
export const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(share * 100).toFixed(1)} %`);

export function bytes(number) {
  const step = number < 1e6 ? ["KB", 1e3] : number < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(number / step[1]).toFixed(number < 1e6 ? 0 : 1)} ${step[0]}`;
}

export function duration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export const left = (seconds) => (seconds < 1 ? "almost done" : `about ${duration(seconds)} left`);

export function time(text) {
  const moment = new Date(text);
  const shown = moment.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return el("time", { datetime: text }, shown);
}

export const badge = (state) => el("span", { class: `state state-${state}` }, state);

/** A table in a box that scrolls by itself, also with the keyboard. */
export function table(label, head, body, attributes = {}) {
  const heads = head.map((cell) => cell
    ? el("th", { scope: "col", class: cell.class }, cell.text ?? cell)
    : el("td"));
  const made = el("table", attributes, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, body));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, made);
}

function faultLine({ pointer, detail }) {
  const named = !pointer || detail.includes(pointer.replace(/^\//, ""));
  return el("li", {}, named ? "" : [el("code", {}, pointer), " "], detail);
}

/** What went wrong and what to do about it, from an Error or a problem document. */
export function problem(error, ...actions) {
  const faults = (error.errors ?? []).slice(0, 8);
  const more = (error.errors ?? []).length - faults.length;
  return el("div", { class: "notice bad", role: "alert" },
    el("p", { class: "notice-title" }, error.title ?? "That did not work"),
    el("p", {}, error.message),
    faults.length ? el("ul", {}, faults.map(faultLine)) : null,
    more > 0 ? el("p", {}, `… and ${more} more.`) : null,
    actions.length ? el("div", { class: "actions" }, actions) : null);
}
