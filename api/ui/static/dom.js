// Create elements, tables, dates and error notices.

/** @import { Failure, FieldError } from "../types" */

/** @typedef {Node | string | number | null | undefined} Child */
/** @typedef {Child | Child[] | Child[][]} Children */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>} Attributes */
/** @typedef {string | { text: string, class?: string }} HeaderCell */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {Element} T
 * @param {T} element
 * @param {Attributes} attributes
 * @param {Children[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined) element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/**
 * Create an HTML element; a function among the attributes listens to the event of that name.
 *
 * @template {keyof HTMLElementTagNameMap} N
 * @param {N} name
 * @param {Attributes} [attributes]
 * @param {...Children} children
 */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/**
 * Create an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} N
 * @param {N} name
 * @param {Attributes} [attributes]
 * @param {...Children} children
 */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/**
 * Return the element of the page with this id. Throw when there is none of this type.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function find(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof (type ?? HTMLElement))) throw new Error(`The page has no such element: ${id}`);
  return /** @type {T} */ (found);
}

/**
 * Create a time element that shows an ISO 8601 timestamp in the local time zone.
 *
 * @param {string} timestamp
 */
export function time(timestamp) {
  const shown = new Date(timestamp).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return el("time", { datetime: timestamp }, shown);
}

/** @param {string} state */
export const badge = (state) => el("span", { class: `state state-${state}` }, state);

/**
 * Create chips that show tags as `name=value`.
 *
 * @param {Record<string, string>} tags
 */
export const tagChips = (tags) =>
  Object.entries(tags).map(([name, value]) => el("span", { class: "chip" }, `${name}=${value}`));

/**
 * Create a table in a labelled region that scrolls horizontally, with the keyboard too.
 *
 * @param {string} label
 * @param {HeaderCell[]} header an empty text makes a cell that heads nothing
 * @param {HTMLTableRowElement[]} body
 * @param {Attributes} [attributes]
 */
export function table(label, header, body, attributes = {}) {
  const cells = header.map((cell) => {
    if (cell === "") return el("td");
    return typeof cell === "string" ? el("th", { scope: "col" }, cell) : el("th", { scope: "col", class: cell.class }, cell.text);
  });
  const created = el("table", attributes, el("thead", {}, el("tr", {}, cells)), el("tbody", {}, body));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, created);
}

/** @param {FieldError} error */
function errorItem({ pointer, detail }) {
  const named = !pointer || detail.includes(pointer.replace(/^\//, ""));
  return el("li", {}, named ? "" : [el("code", {}, pointer), " "], detail);
}

const MAX_ERRORS = 8;

/**
 * Create a notice from an error, or a title and a message, with buttons or links to go on.
 *
 * @param {Failure} failure
 * @param {...HTMLElement} actions
 */
export function problem(failure, ...actions) {
  const all = failure.errors ?? [];
  const errors = all.slice(0, MAX_ERRORS);
  const more = all.length - errors.length;
  return el("div", { class: "notice bad", role: "alert" },
    el("p", { class: "notice-title" }, failure.title ?? "Something went wrong"),
    el("p", {}, failure.message),
    errors.length ? el("ul", {}, errors.map(errorItem)) : null,
    more > 0 ? el("p", {}, `… and ${more} more.`) : null,
    actions.length ? el("div", { class: "actions" }, actions) : null);
}

/**
 * Return what a `catch` caught as an Error.
 *
 * @param {unknown} caught
 */
export const asError = (caught) => (caught instanceof Error ? caught : new Error(String(caught)));
