// Follows a job by its server-sent events, over fetch: an EventSource cannot show a key.

import { call, Problem, Unreachable } from "./api.js";

const SILENCE = 40_000;
const LONGEST = 5_000;

/** Takes text as it comes and calls `take(name, data)` for each event that is whole. */
function reader(take) {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.event) take(fields.event, JSON.parse(fields.data));
    }
  };
}

/** Reads one connection to its end, and tells whether the job's end was among it. */
async function once(path, take) {
  const control = new AbortController();
  let timer = setTimeout(() => control.abort(), SILENCE);
  let ended = false;
  const read = reader((name, data) => {
    // Its status is gone with its beginning; what is not passing will be answered to the next try.
    if (name === "error") throw new Problem(data, 503);
    if (name === "end") ended = true;
    if (name === "job") take(data);
  });
  try {
    const answer = await call(path, { signal: control.signal, cache: "no-store" });
    const stream = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return ended;
      // The service says something every 15 s, if only that it is there.
      clearTimeout(timer);
      timer = setTimeout(() => control.abort(), SILENCE);
      read(value);
    }
  } finally {
    clearTimeout(timer);
    control.abort();
  }
}

const passing = (error) => !(error instanceof Problem) || error.status === 429 || error.status >= 500;

/** Calls `onJob` at each change until the job ends; `onLost(ms)` when a new try is `ms` away. */
export async function follow(path, onJob, onLost) {
  let pause = 500;
  for (;;) {
    try {
      const ended = await once(path, (job) => { pause = 500; onJob(job); });
      if (ended) return;
      throw new Unreachable();
    } catch (error) {
      if (!passing(error)) throw error;
    }
    onLost(pause);
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(pause * 2, LONGEST);
  }
}
