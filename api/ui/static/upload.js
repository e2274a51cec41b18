// Uploads a file, tells how far it is, and can be stopped: fetch tells nothing of an upload.

import { problemOf, Unreachable } from "./api.js";
import { askForKey, authorization, key } from "./key.js";

const ENCODINGS = { gz: "gzip", zst: "zstd" };

function headers(file, again) {
  const encoding = ENCODINGS[file.name.split(".").pop().toLowerCase()];
  return {
    "Content-Type": "text/csv",
    // The same upload sent once more is the same job.
    "Idempotency-Key": again,
    ...(encoding ? { "Content-Encoding": encoding } : {}),
    ...authorization(),
  };
}

function send(path, file, again, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers(file, again))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Unreachable()));
    request.addEventListener("abort", () => reject(new DOMException("Stopped.", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** Uploads `file` and gives the job; `again` is the same for every try of the same upload. */
export async function upload(path, file, again, onProgress, signal) {
  for (;;) {
    const request = await send(path, file, again, onProgress, signal);
    if (request.status < 300) return JSON.parse(request.responseText);
    const wrong = problemOf(request.responseText, request.status);
    if (request.status !== 401 || !(await askForKey(key() ? wrong.message : ""))) throw wrong;
  }
}
