// The Predict page: its tabs, its choice of a model and its three forms.

import "./api_key.js";
import { find } from "./dom.js";
import { startFileForm } from "./file_form.js";
import { startPasteForm } from "./paste_form.js";
import { startRowForm } from "./row_form.js";

/** @type {HTMLElement[]} */
const tabs = [...document.querySelectorAll("[role=tab]")].filter((tab) => tab instanceof HTMLElement);

/** @param {HTMLElement} tab */
const panelId = (tab) => tab.getAttribute("aria-controls") ?? "";

/**
 * @param {HTMLElement} chosen
 * @param {{ focus?: boolean }} [options]
 */
function show(chosen, { focus = false } = {}) {
  for (const tab of tabs) {
    const selected = tab === chosen;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
    find(panelId(tab)).hidden = !selected;
  }
  if (focus) chosen.focus();
  history.replaceState(null, "", `#${panelId(chosen)}`);
}

/**
 * @param {HTMLElement} tab
 * @param {KeyboardEvent} event
 */
function move(tab, event) {
  const at = tabs.indexOf(tab);
  /** @type {Record<string, number>} */
  const targets = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 };
  const target = targets[event.key];
  if (target === undefined) return;
  event.preventDefault();
  show(tabs[(target + tabs.length) % tabs.length], { focus: true });
}

function showFromAddress() {
  const named = tabs.find((tab) => `#${panelId(tab)}` === location.hash);
  if (named) show(named);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => move(tab, event));
}
window.addEventListener("hashchange", showFromAddress);
showFromAddress();

const modelForm = document.getElementById("model-form");
if (modelForm instanceof HTMLFormElement) {
  find("use-model").hidden = true;
  modelForm.addEventListener("change", () => {
    const query = new URLSearchParams({ model: find("model", HTMLSelectElement).value });
    location.assign(`/?${query}${location.hash}`);
  });
}

const { model = "", outputs = "" } = find("page").dataset;
startRowForm(model, outputs.split(","));
startPasteForm(model, outputs.split(","));
startFileForm(model);
