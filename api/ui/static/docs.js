// Show the OpenAPI document of this service with Swagger UI.

/** @typedef {{ parameters?: { name: string, example?: string }[] }} Operation */

/**
 * Return the JSON at `path`, null for an error response.
 *
 * @param {string} path
 */
async function read(path) {
  const response = await fetch(path);
  return response.ok ? response.json() : null;
}

/**
 * Use the newest job as the example of each `job_id`: a fixed id would not exist.
 *
 * @param {{ paths: Record<string, Record<string, Operation>> }} spec
 * @param {{ id: string }} job
 */
function fillJobId(spec, job) {
  for (const operations of Object.values(spec.paths)) {
    for (const operation of Object.values(operations)) {
      for (const parameter of operation.parameters ?? []) {
        if (parameter.name === "job_id") parameter.example = job.id;
      }
    }
  }
}

const [spec, newest] = await Promise.all([read("/openapi.json"), read("/jobs?page_size=1").catch(() => null)]);
if (newest?.jobs.length) fillJobId(spec, newest.jobs[0]);

/** @type {any} */ (window).SwaggerUIBundle({
  spec,
  dom_id: "#api",
  deepLinking: true,
  // The default validator is an external site.
  validatorUrl: null,
});
