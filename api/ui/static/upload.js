// Upload a file with progress and cancellation, by XMLHttpRequest: fetch reports no upload progress.

import { problemOf, Unreachable } from "./api.js";
import { askForKey, authorization, key } from "./api_key.js";

/** @import { Job } from "../types" */
/** @typedef {{ path: string, file: File, idempotencyKey: string }} Upload */

/** @type {Record<string, string>} */
const ENCODINGS = { gz: "gzip", zst: "zstd" };

/**
 * @param {Upload} upload
 * @returns {Record<string, string>}
 */
function headers({ file, idempotencyKey }) {
  const encoding = ENCODINGS[file.name.split(".").pop()?.toLowerCase() ?? ""];
  return {
    "Content-Type": "text/csv",
    "Idempotency-Key": idempotencyKey,
    ...(encoding ? { "Content-Encoding": encoding } : {}),
    ...authorization(),
  };
}

/**
 * @param {Upload} given
 * @param {(sent: number, total: number) => void} onProgress
 * @param {AbortSignal} signal
 * @returns {Promise<XMLHttpRequest>}
 */
function send(given, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", given.path);
    for (const [name, value] of Object.entries(headers(given))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Unreachable()));
    request.addEventListener("abort", () => reject(new DOMException("Canceled.", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(given.file);
  });
}

/**
 * Upload a file and return its job. Throw a Problem, Unreachable, or an AbortError when canceled.
 * Every attempt with the same idempotency key returns the same job.
 *
 * @param {Upload} given
 * @param {(sent: number, total: number) => void} onProgress takes numbers of bytes
 * @param {AbortSignal} signal
 * @returns {Promise<Job>}
 */
export async function upload(given, onProgress, signal) {
  for (;;) {
    const request = await send(given, onProgress, signal);
    if (request.status < 300) return JSON.parse(request.responseText);
    const failure = problemOf(request.responseText, request.status);
    if (request.status !== 401 || !(await askForKey(key() ? failure.message : ""))) throw failure;
  }
}
