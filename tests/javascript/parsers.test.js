// Parsers of CSV, server-sent events, numbers and tags.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseCsv } from "../../api/ui/static/csv_parser.js";
import { eventParser } from "../../api/ui/static/event_parser.js";
import { isBlank, parseNumber } from "../../api/ui/static/numbers.js";
import { tagParameter } from "../../api/ui/static/tags.js";

test("quoted cells may contain commas, quotes and line breaks", () => {
  const text = 'row,detail\r\n1,"a, ""b""\nc"\r\n2,\r\n';
  assert.deepEqual(parseCsv(text, true), [["row", "detail"], ["1", 'a, "b"\nc'], ["2", ""]]);
});

test("a truncated last row is left out until the text is complete", () => {
  assert.deepEqual(parseCsv("a,b\n1,2", false), [["a", "b"]]);
  assert.deepEqual(parseCsv("a,b\n1,2", true), [["a", "b"], ["1", "2"]]);
});

test("a row is never cut at any split of the text", () => {
  const text = 'a,"b\nc"\nd,e\n';
  const complete = parseCsv(text, true);
  for (let end = 0; end <= text.length; end += 1) {
    const rows = parseCsv(text.slice(0, end), false);
    assert.deepEqual(rows, complete.slice(0, rows.length));
  }
});

test("events are parsed from any split of the text, and comments are ignored", () => {
  const text = ': ping\n\nevent: job\ndata: {"state": "a: b"}\n\nevent: end\ndata: {}\n\n';
  for (let at = 0; at <= text.length; at += 1) {
    const events = [];
    const parse = eventParser((name, data) => events.push([name, data]));
    parse(text.slice(0, at));
    parse(text.slice(at));
    assert.deepEqual(events, [["job", { state: "a: b" }], ["end", {}]]);
  }
});

test("an incomplete event is not reported", () => {
  const events = [];
  eventParser((name) => events.push(name))("event: job\ndata: {}\n");
  assert.deepEqual(events, []);
});

test("numbers may have signs, exponents and white space around them", () => {
  assert.deepEqual(["1", " +.5 ", "\u00a0-2.\t", "1e-3"].map(parseNumber), [1, 0.5, -2, 0.001]);
});

test("other texts that JavaScript takes for numbers are not numbers", () => {
  for (const text of ["", " ", "0x10", "1_000", "Infinity", "NaN", "1e999", "1,5", "١"]) {
    assert.ok(Number.isNaN(parseNumber(text)), text);
  }
  assert.deepEqual(["", "\u3000\t", "0"].map(isBlank), [true, true, false]);
});

test("a tag is split at the first equals sign", () => {
  assert.deepEqual(tagParameter(" batch = a=b "), ["label.batch", "a=b"]);
  assert.deepEqual(tagParameter("batch"), ["label.batch", ""]);
  assert.deepEqual([tagParameter(""), tagParameter("=7")], [null, null]);
});
