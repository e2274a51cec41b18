// Call the API: send the key where there is one, and turn failures into errors for display.

import { askForKey, authorization, key } from "./api_key.js";

/** @import { Job, FieldError, ProblemDocument } from "../types" */

/** @type {Record<number, string>} */
const TITLES = {
  400: "Invalid request",
  401: "API key required",
  404: "Not found",
  409: "Conflict",
  410: "Deleted",
  413: "Too large",
  415: "Unsupported file type",
  422: "Validation failed",
  429: "Too many requests",
};

/** An error response of the service. */
export class Problem extends Error {
  /**
   * @param {ProblemDocument} document
   * @param {number} status
   */
  constructor(document, status) {
    super(document.detail ?? "The response has no details. Try again in a moment.");
    this.title = TITLES[status] ?? "Service error";
    /** @type {FieldError[]} */
    this.errors = document.errors ?? [];
    this.status = status;
  }
}

/** The connection failed, or the service does not respond. */
export class Unreachable extends Error {
  constructor() {
    super("The service does not respond. Check your connection, or try again in a moment.");
    this.title = "No connection";
  }
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof Error && error.name === "AbortError";

/**
 * Return an error response as a Problem, also when its body is not a problem document.
 *
 * @param {string} text
 * @param {number} status
 */
export function problemOf(text, status) {
  let document = {};
  try {
    document = JSON.parse(text);
  } catch {
    // A proxy in front of the service responded.
  }
  return new Problem(document, status);
}

/**
 * Fetch `path` and return its response; on a 401 ask for an API key and send the request again.
 * Throw a Problem for an error response, Unreachable without a response.
 *
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 */
export async function call(path, options = {}) {
  for (;;) {
    let response;
    try {
      response = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
    } catch (error) {
      throw isAbort(error) ? error : new Unreachable();
    }
    if (response.ok) return response;
    const failure = problemOf(await response.text(), response.status);
    const retry = response.status === 401 && await askForKey(key() ? failure.message : "");
    if (!retry) throw failure;
  }
}

/**
 * Fetch `path` and return its JSON.
 *
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [options]
 * @returns {Promise<any>}
 */
export async function json(path, options) {
  const response = await call(path, options);
  try {
    return await response.json();
  } catch (error) {
    throw isAbort(error) ? error : new Unreachable();
  }
}

/**
 * Submit `body` and return the job, finished if that takes less than ten seconds.
 *
 * @param {string} path
 * @param {string} type
 * @param {string} body
 * @returns {Promise<Job>}
 */
export function submit(path, type, body) {
  return json(path, { method: "POST", headers: { "Content-Type": type, Prefer: "wait=10" }, body });
}

/**
 * Download `path` as a file, through memory: a plain link cannot send an API key.
 *
 * @param {string} path
 * @param {string} name
 */
export async function save(path, name) {
  const blob = await (await call(path)).blob();
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
