// Parse CSV text as the service writes it.

/**
 * Return the rows of `text` as lists of cells. The last row is left out when it may be truncated.
 *
 * @param {string} text
 * @param {boolean} complete whether no more text follows
 */
export function parseCsv(text, complete) {
  /** @type {string[][]} */
  const rows = [];
  /** @type {string[]} */
  let row = [];
  let cell = "", quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (quoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') { cell += '"'; at += 1; }
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ",") { row.push(cell); cell = ""; }
    else if (character === "\n") { rows.push([...row, cell.replace(/\r$/, "")]); row = []; cell = ""; }
    else cell += character;
  }
  if (complete && (cell || row.length)) rows.push([...row, cell]);
  return rows;
}
