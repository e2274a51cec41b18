// Reads the first lines of a CSV from the service without loading the rest.

import { call } from "./api.js";

/** Splits CSV text into rows of cells; a row that is not whole yet is left out. */
export function parse(text, whole) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') { cell += '"'; at += 1; }
      else quoted = false;
    } else if (sign === '"') quoted = true;
    else if (sign === ",") { row.push(cell); cell = ""; }
    else if (sign === "\n") { rows.push([...row, cell.replace(/\r$/, "")]); row = []; cell = ""; }
    else cell += sign;
  }
  if (whole && (cell || row.length)) rows.push([...row, cell]);
  return rows;
}

/** Gives up to `most` rows of the CSV at `path`, its header first, and whether there are more. */
export async function firstRows(path, most) {
  const control = new AbortController();
  const answer = await call(path, { signal: control.signal });
  const stream = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await stream.read();
    text += value ?? "";
    const rows = parse(text, done);
    if (done || rows.length > most) {
      control.abort();
      return { rows: rows.slice(0, most), more: rows.length > most };
    }
  }
}
