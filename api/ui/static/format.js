// Format numbers, sizes and durations for display.

/** @param {number} number */
export const integer = (number) => number.toLocaleString("en");

/** @param {number} count */
export const rows = (count) => `${integer(count)} ${count === 1 ? "row" : "rows"}`;

/** @param {number} share a fraction from 0 to 1 */
export const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(share * 100).toFixed(1)} %`);

/** @param {number} size in bytes */
export function bytes(size) {
  if (size < 1e6) return `${(size / 1e3).toFixed(0)} KB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(1)} GB`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number} seconds */
export const remaining = (seconds) => (seconds < 1 ? "almost done" : `about ${duration(seconds)} left`);
