// The page at the root: its tabs, and what stands in them.

import { find } from "./dom.js";
import "./key.js";
import { startFile } from "./file.js";
import { startPaste } from "./paste.js";
import { startRow } from "./row.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(chosen, { focus = false } = {}) {
  for (const tab of tabs) {
    const on = tab === chosen;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    find(tab.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) chosen.focus();
  history.replaceState(null, "", `#${chosen.getAttribute("aria-controls")}`);
}

function move(event) {
  const at = tabs.indexOf(event.currentTarget);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(tabs.at(to % tabs.length), { focus: true });
}

function fromAddress() {
  const named = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
  if (named) show(named);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", move);
}
window.addEventListener("hashchange", fromAddress);
fromAddress();

const models = find("model-form");
if (models) {
  models.querySelector("button").hidden = true;
  models.addEventListener("change", () => {
    location.assign(`/?${new URLSearchParams(new FormData(models))}${location.hash}`);
  });
}

const { model, outputs } = find("page").dataset;
startRow(model, outputs.split(","));
startPaste(model, outputs.split(","));
startFile(model);
