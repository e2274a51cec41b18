// Calls the API: with the key where there is one, and with errors that say what to do.

import { askForKey, authorization, key } from "./key.js";

const TITLES = {
  400: "The service cannot read this",
  401: "A key is needed",
  404: "Not found",
  409: "Not now",
  410: "Deleted",
  413: "Too large",
  415: "Not a kind of file that fits",
  422: "This does not fit",
  429: "Too much at once",
};

/** What the service answered instead of what was asked for. */
export class Problem extends Error {
  constructor(document, status) {
    super(document.detail ?? "Its answer says nothing more. Try again in a moment.");
    this.title = TITLES[status] ?? "The service has trouble";
    this.errors = document.errors ?? [];
    this.status = status;
  }
}

/** The connection is gone, or nobody answers. */
export class Unreachable extends Error {
  constructor() {
    super("The service does not answer. Look at your connection, or try again in a moment.");
    this.title = "No connection";
  }
}

export function problemOf(text, status) {
  let document = {};
  try {
    document = JSON.parse(text);
  } catch {
    // Not ours: something between us and the service answered.
  }
  return new Problem(document, status);
}

/** Fetches `path`; asks for a key when one is wanted, and then tries again. */
export async function call(path, options = {}) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Unreachable();
    }
    if (answer.ok) return answer;
    const wrong = problemOf(await answer.text(), answer.status);
    const again = answer.status === 401 && await askForKey(key() ? wrong.message : "");
    if (!again) throw wrong;
  }
}

export async function json(path, options) {
  const answer = await call(path, options);
  try {
    return await answer.json();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Unreachable();
  }
}

/** Sends `body`, waits some seconds for the job to finish, and gives it. */
export function submit(path, type, body) {
  return json(path, { method: "POST", headers: { "Content-Type": type, Prefer: "wait=10" }, body });
}

/** Saves what is at `path` as a file. A plain link cannot show a key, so it goes through memory. */
export async function save(path, name) {
  const blob = await (await call(path)).blob();
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
