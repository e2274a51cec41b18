// The row counts of a job, worded alike on every page.

import { integer, percent, rows } from "./format.js";

/** @import { Job } from "../types" */

/**
 * Return the numbers of succeeded, failed and unprocessed rows; the progress while the job runs.
 *
 * @param {Pick<Job, "rows" | "progress" | "finished_at">} job
 */
export function countText(job) {
  const { total, succeeded, failed } = job.rows;
  if (!job.finished_at) return `${percent(job.progress)} of ${rows(total)}`;
  if (!total) return "No rows stored";
  const unprocessed = total - succeeded - failed;
  return [
    `${rows(succeeded)} succeeded`,
    failed ? `${integer(failed)} failed` : "",
    unprocessed ? `${integer(unprocessed)} not processed` : "",
  ].filter(Boolean).join(", ");
}
