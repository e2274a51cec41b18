// Calls the API with openapi-fetch and the types that openapi-typescript makes; prints each result.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Job = components["schemas"]["JobDocument"];
type Page = components["schemas"]["ResultsPage"];

const [url, csv, row] = process.argv.slice(2);
const bean: number[] = JSON.parse(row);
const client = createClient<paths>({ baseUrl: url });

function unwrap<T>(result: { data?: T; error?: unknown }): T {
  if (result.data === undefined) throw new Error(JSON.stringify(result.error));
  return result.data;
}

function labels(rows: Page["results"]): string {
  return JSON.stringify(rows.map((result) => result.label));
}

const submitted = unwrap(await client.POST("/jobs", { body: { instances: [bean] } })) as Job;
const path = { job_id: submitted.id };
const header = { Prefer: "wait=30" };
const job = unwrap(await client.GET("/jobs/{job_id}", { params: { path, header } }));
console.log("json", job.state, labels(job.results!));

const page = unwrap(await client.GET("/jobs/{job_id}/results", { params: { path } })) as Page;
console.log("results", page.total, labels(page.results));
const listed = unwrap(await client.GET("/jobs"));
console.log("list", listed.jobs[0].id === job.id ? "True" : "False");

// The file comes first, and an option after it.
const form = new FormData();
form.append("file", new Blob([csv], { type: "text/csv" }), "beans.csv");
form.append("on_error", "abort");
const request = { params: { header }, body: { file: "" }, bodySerializer: () => form };
const uploaded = unwrap(await client.POST("/jobs", request)) as Job;
console.log("form", uploaded.state, labels(uploaded.results!));

console.log("predict", unwrap(await client.POST("/predict", { body: { data: [bean] } })).predictions);

const params = { path: { name: "drybeans" } };
const v1 = await client.POST("/v1/models/{name}:predict", { params, body: { instances: [bean] } });
console.log("v1", JSON.stringify(unwrap(v1).predictions));

const tensor = { name: "rows", datatype: "FP64" as const, shape: [1, bean.length], data: bean };
const v2 = await client.POST("/v2/models/{name}/infer", { params, body: { inputs: [tensor] } });
console.log("v2", JSON.stringify(unwrap(v2).outputs[0].data));
