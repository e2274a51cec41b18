// Follow a job by its server-sent events, over fetch: an EventSource cannot send an API key.

import { call, Problem, Unreachable } from "./api.js";
import { eventParser } from "./event_parser.js";

/** @import { Job } from "../types" */

// The service sends a comment every 15 s, so a longer silence means a lost connection.
const IDLE_TIMEOUT_MS = 40_000;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 5_000;

/**
 * Read one connection to its end and return whether it ended because the job did.
 *
 * @param {string} path
 * @param {(job: Job) => void} onJob
 */
async function readConnection(path, onJob) {
  const control = new AbortController();
  let timer = setTimeout(() => control.abort(), IDLE_TIMEOUT_MS);
  let ended = false;
  const parse = eventParser((name, data) => {
    // The response began with status 200; a permanent error is returned to the next request.
    if (name === "error") throw new Problem(data, 503);
    if (name === "end") ended = true;
    if (name === "job") onJob(data);
  });
  try {
    const response = await call(path, { signal: control.signal, cache: "no-store" });
    if (!response.body) return ended;
    const stream = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return ended;
      clearTimeout(timer);
      timer = setTimeout(() => control.abort(), IDLE_TIMEOUT_MS);
      parse(value);
    }
  } finally {
    clearTimeout(timer);
    control.abort();
  }
}

/** @param {unknown} error */
const isTransient = (error) => !(error instanceof Problem) || error.status === 429 || error.status >= 500;

/**
 * Call `onJob` at each change until the job ends, reconnecting with backoff; call `onLost` with
 * the delay in milliseconds before each reconnection.
 *
 * @param {string} path
 * @param {(job: Job) => void} onJob
 * @param {(delay: number) => void} onLost
 */
export async function follow(path, onJob, onLost) {
  let delay = FIRST_DELAY_MS;
  for (;;) {
    try {
      const ended = await readConnection(path, (job) => { delay = FIRST_DELAY_MS; onJob(job); });
      if (ended) return;
      throw new Unreachable();
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
    onLost(delay);
    await new Promise((resolve) => { setTimeout(resolve, delay); });
    delay = Math.min(delay * 2, MAX_DELAY_MS);
  }
}
