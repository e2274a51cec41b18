// A CSV file, chosen or dropped: its upload can be watched and stopped, then its job opens.

import { Unreachable } from "./api.js";
import { bytes, el, find, left, problem } from "./dom.js";
import { upload } from "./upload.js";

const drop = find("drop");
const input = find("csv");
const place = find("upload");
let model;

function address() {
  const query = new URLSearchParams({ model });
  if (find("probabilities")?.checked) for (const output of ["label", "probabilities"]) query.append("outputs", output);
  const [name, ...value] = find("job-label").value.split("=");
  if (name.trim()) query.append(`label.${name.trim()}`, value.join("=").trim());
  return `/jobs?${query}`;
}

function progressOf(file, stop) {
  const started = performance.now();
  const gauge = el("progress", { max: "1", value: "0", "aria-label": "Uploaded" });
  const said = el("span", {}, `Uploading ${file.name} …`);
  const box = el("div", { class: "stack upload" },
    el("div", { class: "progress-line" }, said, el("button", { type: "button", class: "danger", click: stop }, "Cancel the upload")), gauge);
  let whole = false;
  return { box, whole: () => whole, tell(done, all) {
    whole = done === all;
    const rate = done / Math.max((performance.now() - started) / 1000, 0.1);
    gauge.value = all ? done / all : 1;
    said.textContent = done < all
      ? `Uploading ${file.name}: ${bytes(done)} of ${bytes(all)}, ${left((all - done) / rate)}`
      : `${file.name} is uploaded; the service reads its last lines …`;
  } };
}

const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function start(file, again = newKey()) {
  const control = new AbortController();
  const progress = progressOf(file, () => control.abort());
  place.replaceChildren(progress.box);
  drop.hidden = true;
  try {
    const job = await upload(address(), file, again, progress.tell, control.signal);
    location.assign(`/ui/jobs/${job.id}`);
  } catch (error) {
    drop.hidden = false;
    const passing = error instanceof Unreachable || error.status >= 500 || error.status === 429;
    // What arrived whole may have become a job already: the same key gives that one.
    const key = progress.whole() ? again : newKey();
    const retry = el("button", { type: "button", click: () => start(file, key) }, "Send it again");
    place.replaceChildren(error.name === "AbortError"
      ? el("p", { class: "notice", role: "status" }, `The upload of ${file.name} was canceled; none of its rows are kept.`)
      : problem(error, ...(passing ? [retry] : [])));
  }
}

function take() {
  const [file] = input.files;
  if (file) start(file);
  input.value = "";
}

function dragging(event, on) {
  event.preventDefault();
  drop.classList.toggle("over", on);
}

export function startFile(name) {
  model = name;
  input.addEventListener("change", take);
  // Chosen while this script was still on its way.
  take();
  drop.addEventListener("dragover", (event) => dragging(event, true));
  drop.addEventListener("dragleave", (event) => dragging(event, false));
  drop.addEventListener("drop", (event) => {
    dragging(event, false);
    const [file] = event.dataTransfer.files;
    if (file) start(file);
  });
}
