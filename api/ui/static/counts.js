// How many rows a job has, in the words of every page that shows it.

import { percent, rows, whole } from "./dom.js";

/** Returns what became of a job's rows; while it runs, how far it is. */
export function countText(job) {
  const { total, succeeded, failed } = job.rows;
  if (!job.finished_at) return `${percent(job.progress)} of ${rows(total)}`;
  if (!total) return "No rows are kept";
  const left = total - succeeded - failed;
  return [
    `${rows(succeeded)} with a label`,
    failed ? `${whole(failed)} failed` : "",
    left ? `${whole(left)} not run` : "",
  ].filter(Boolean).join(", ");
}
