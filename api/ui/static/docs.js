// Shows the OpenAPI document of this service, ready to be tried out.

async function read(path) {
  const response = await fetch(path);
  return response.ok ? response.json() : null;
}

/** Fills in the newest job where a job's id is asked for: any fixed id would be of no job. */
function fillJob(spec, job) {
  for (const operations of Object.values(spec.paths)) {
    for (const operation of Object.values(operations)) {
      for (const parameter of operation.parameters ?? []) {
        if (parameter.name === "job_id") parameter.example = job.id;
      }
    }
  }
}

const [spec, newest] = await Promise.all([read("/openapi.json"), read("/jobs?page_size=1").catch(() => null)]);
if (newest?.jobs.length) fillJob(spec, newest.jobs[0]);

window.SwaggerUIBundle({
  spec,
  dom_id: "#api",
  deepLinking: true,
  // Its validator is another site's.
  validatorUrl: null,
});
