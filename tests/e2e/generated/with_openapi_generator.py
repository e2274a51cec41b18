"""Call the API with the Python client that openapi-generator makes; print each result."""

import json
import sys

import openapi_client as api

url, csv, bean = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = api.ApiClient(api.Configuration(host=url))
jobs = api.JobsApi(client)
rows = [api.InstancesInner(bean)]

submitted = jobs.submit_job(api.JsonJob(instances=rows))
job = jobs.get_job(submitted.id, prefer="wait=30")
print("json", job.state.value, json.dumps([row.label for row in job.results]))

page = jobs.get_job_results(job.id)
print("results", page.total, json.dumps([row.label for row in page.results]))
print("list", jobs.list_jobs().jobs[0].id == job.id)

# The method takes JSON only, the first content type; the client can send the others.
headers = {"Content-Type": "multipart/form-data", "Prefer": "wait=30"}
files = {"file": ("beans.csv", csv.encode())}
response = client.call_api(
    *client.param_serialize("POST", "/jobs", header_params=headers, files=files)
)
response.read()
job = client.response_deserialize(response, {"2XX": "JobDocument"}).data
print("form", job.state.value, json.dumps([row.label for row in job.results]))

predict = api.PredictRequest(data=api.Data(rows))
print("predict", api.PredictionsApi(client).predict(predict).predictions)

predictions = api.V1Api(client).predict_v1("drybeans", api.V1Request(instances=rows)).predictions
print("v1", json.dumps(predictions))

tensor = {"name": "rows", "datatype": "FP64", "shape": [1, len(bean)], "data": bean}
inferred = api.V2Api(client).infer("drybeans", api.InferRequest.from_dict({"inputs": [tensor]}))
print("v2", json.dumps([value.actual_instance for value in inferred.outputs[0].data]))
