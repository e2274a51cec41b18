// Parse server-sent events.

/**
 * Return a function that takes text as it arrives and calls `onEvent(name, data)` for each
 * complete event; the data is parsed as JSON. Comments are ignored.
 *
 * @param {(name: string, data: any) => void} onEvent
 * @returns {(text: string) => void}
 */
export function eventParser(onEvent) {
  let rest = "";
  return (text) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.event) onEvent(fields.event, JSON.parse(fields.data));
    }
  };
}
