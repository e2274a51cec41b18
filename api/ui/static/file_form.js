// The form for CSV files, chosen or dropped: upload the file, then open its job.

import { isAbort, Problem, Unreachable } from "./api.js";
import { asError, el, find, problem } from "./dom.js";
import { bytes, remaining } from "./format.js";
import { tagParameter } from "./tags.js";
import { upload } from "./upload.js";

const dropZone = find("drop");
const input = find("csv", HTMLInputElement);
const place = find("upload");
let model = "";

function submitPath() {
  const query = new URLSearchParams({ model });
  // Missing when the model does not output probabilities.
  const option = document.getElementById("probabilities");
  if (option instanceof HTMLInputElement && option.checked) {
    for (const output of ["label", "probabilities"]) query.append("outputs", output);
  }
  const tag = tagParameter(find("job-tag", HTMLInputElement).value);
  if (tag) query.append(...tag);
  return `/jobs?${query}`;
}

/**
 * Create the progress of an upload: its element, `update(sent, total)` in bytes, and `isSent()`.
 *
 * @param {File} file
 * @param {() => void} cancel
 */
function uploadProgress(file, cancel) {
  const started = performance.now();
  const gauge = el("progress", { max: "1", value: "0", "aria-label": "Upload progress" });
  const text = el("span", {}, `Uploading ${file.name} …`);
  const element = el("div", { class: "stack upload" },
    el("div", { class: "progress-line" }, text, el("button", { type: "button", class: "danger", click: cancel }, "Cancel upload")), gauge);
  let complete = false;
  /**
   * @param {number} sent
   * @param {number} total
   */
  const update = (sent, total) => {
    complete = sent === total;
    const rate = sent / Math.max((performance.now() - started) / 1000, 0.1);
    gauge.value = total ? sent / total : 1;
    text.textContent = sent < total
      ? `Uploading ${file.name}: ${bytes(sent)} of ${bytes(total)}, ${remaining((total - sent) / rate)}`
      : `Uploaded ${file.name}; processing the last rows …`;
  };
  return { element, isSent: () => complete, update };
}

const newIdempotencyKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {unknown} error */
const isTransient = (error) => error instanceof Unreachable || (error instanceof Problem && (error.status >= 500 || error.status === 429));

/**
 * @param {File} file
 * @param {string} [idempotencyKey]
 */
async function start(file, idempotencyKey = newIdempotencyKey()) {
  const control = new AbortController();
  const progress = uploadProgress(file, () => control.abort());
  place.replaceChildren(progress.element);
  dropZone.hidden = true;
  try {
    const job = await upload({ path: submitPath(), file, idempotencyKey }, progress.update, control.signal);
    location.assign(`/ui/jobs/${job.id}`);
  } catch (error) {
    dropZone.hidden = false;
    // A complete upload may have created a job, which the same key returns.
    const nextKey = progress.isSent() ? idempotencyKey : newIdempotencyKey();
    const retry = el("button", { type: "button", click: () => start(file, nextKey) }, "Retry upload");
    place.replaceChildren(isAbort(error)
      ? el("p", { class: "notice", role: "status" }, `Upload of ${file.name} canceled. No rows were stored.`)
      : problem(asError(error), ...(isTransient(error) ? [retry] : [])));
  }
}

function startChosen() {
  const file = input.files?.[0];
  if (file) start(file);
  input.value = "";
}

/**
 * @param {DragEvent} event
 * @param {boolean} over
 */
function highlight(event, over) {
  event.preventDefault();
  dropZone.classList.toggle("over", over);
}

/** @param {string} name the model's id */
export function startFileForm(name) {
  model = name;
  input.addEventListener("change", startChosen);
  // The file may have been chosen before this script loaded.
  startChosen();
  dropZone.addEventListener("dragover", (event) => highlight(event, true));
  dropZone.addEventListener("dragleave", (event) => highlight(event, false));
  dropZone.addEventListener("drop", (event) => {
    highlight(event, false);
    const file = event.dataTransfer?.files[0];
    if (file) start(file);
  });
}
