// Numbers, sizes and durations as the pages show them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, duration, integer, percent, remaining, rows } from "../../api/ui/static/format.js";
import { countText } from "../../api/ui/static/row_counts.js";

test("integers have separators and rows are pluralized", () => {
  assert.deepEqual([integer(1234567), rows(0), rows(1), rows(1000)], ["1,234,567", "0 rows", "1 row", "1,000 rows"]);
});

test("a small positive share is not shown as zero", () => {
  assert.deepEqual([0, 0.0004, 0.001, 0.5, 1].map(percent), ["0.0 %", "< 0.1 %", "0.1 %", "50.0 %", "100.0 %"]);
});

test("sizes have the unit that fits", () => {
  assert.deepEqual([999, 999_999, 1.5e6, 2.25e9].map(bytes), ["1 KB", "1000 KB", "1.5 MB", "2.3 GB"]);
});

test("durations have the unit that fits", () => {
  assert.deepEqual([0.4, 1, 89, 90, 5399, 5400].map(duration), ["less than a second", "1 s", "89 s", "2 min", "90 min", "1.5 h"]);
  assert.deepEqual([0.4, 60].map(remaining), ["almost done", "about 60 s left"]);
});

const job = { rows: { total: 10, succeeded: 6, failed: 1 }, progress: 0.7, finished_at: null };

test("a running job shows its progress", () => {
  assert.equal(countText(job), "70.0 % of 10 rows");
});

test("a finished job shows succeeded, failed and unprocessed rows", () => {
  assert.equal(countText({ ...job, finished_at: "2026-01-01T00:00:00Z" }), "6 rows succeeded, 1 failed, 3 not processed");
});

test("a finished job shows no counts that are zero", () => {
  const rowsOfJob = { total: 1, succeeded: 1, failed: 0 };
  assert.equal(countText({ rows: rowsOfJob, progress: 1, finished_at: "2026-01-01T00:00:00Z" }), "1 row succeeded");
});

test("a finished job without rows says so", () => {
  const rowsOfJob = { total: 0, succeeded: 0, failed: 0 };
  assert.equal(countText({ rows: rowsOfJob, progress: 0, finished_at: "2026-01-01T00:00:00Z" }), "No rows stored");
});
