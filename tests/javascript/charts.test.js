// Levels of drift, and panels of results.

import assert from "node:assert/strict";
import { test } from "node:test";

import { driftLevel } from "../../api/ui/static/charts.js";
import { resultPanel } from "../../api/ui/static/result_panel.js";

test("the level of drift follows the thresholds of the population stability index", () => {
  assert.deepEqual([0, 0.099, 0.1, 0.249, 0.25, 3].map(driftLevel), ["stable", "stable", "moderate", "moderate", "high", "high"]);
});

class FakePanel {
  childNodes = ["initial"];
  replaceChildren(...nodes) { this.childNodes = nodes; }
}

test("a result is shown until it is discarded", () => {
  const panel = new FakePanel();
  const { begin, discard } = resultPanel(panel);
  const show = begin();
  assert.deepEqual([show("loading"), panel.childNodes], [true, ["loading"]]);
  discard();
  assert.deepEqual([show("result"), panel.childNodes], [false, ["initial"]]);
});

test("a newer request discards the older one", () => {
  const panel = new FakePanel();
  const { begin } = resultPanel(panel);
  const older = begin();
  begin()("newer");
  older("older");
  assert.deepEqual(panel.childNodes, ["newer"]);
});
