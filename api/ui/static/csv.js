// Read the first rows of a CSV from the service without downloading the rest.

import { call } from "./api.js";
import { parseCsv } from "./csv_parser.js";

/**
 * Return up to `max` rows of the CSV at `path`, its header first, and whether there are more.
 *
 * @param {string} path
 * @param {number} max
 */
export async function firstRows(path, max) {
  const control = new AbortController();
  const response = await call(path, { signal: control.signal });
  if (!response.body) return { rows: [], more: false };
  const stream = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await stream.read();
    text += value ?? "";
    const rows = parseCsv(text, done);
    if (done || rows.length > max) {
      control.abort();
      return { rows: rows.slice(0, max), more: rows.length > max };
    }
  }
}
