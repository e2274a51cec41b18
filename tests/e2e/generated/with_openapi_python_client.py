"""Call the API with the client that openapi-python-client makes; print each result."""

import io
import json
import sys

from client import Client
from client.api.jobs import get_job, get_job_results, list_jobs, submit_job
from client.api.predictions import predict
from client.api.v1 import predict_v1
from client.api.v2 import infer
from client.models import CsvForm, InferRequest, JsonJob, PredictRequest, V1Request
from client.types import File

url, csv, bean = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = Client(base_url=url, raise_on_unexpected_status=True)

submitted = submit_job.sync(client=client, body=JsonJob(instances=[bean]))
job = get_job.sync(submitted.id, client=client, prefer="wait=30")
print("json", job.state.value, json.dumps([row.label for row in job.results]))

page = get_job_results.sync(job.id, client=client)
print("results", page.total, json.dumps([row.label for row in page.results]))
print("list", list_jobs.sync(client=client).jobs[0].id == job.id)

form = CsvForm(file=File(io.BytesIO(csv.encode()), "beans.csv", "text/csv"))
job = submit_job.sync(client=client, body=form, prefer="wait=30")
print("form", job.state.value, json.dumps([row.label for row in job.results]))

print("predict", predict.sync(client=client, body=PredictRequest(data=[bean])).predictions)

v1_request = V1Request(instances=[bean])
predictions = predict_v1.sync("drybeans", client=client, body=v1_request).predictions
print("v1", json.dumps(predictions))

tensor = {"name": "rows", "datatype": "FP64", "shape": [1, len(bean)], "data": bean}
body = InferRequest.from_dict({"inputs": [tensor]})
print("v2", json.dumps(infer.sync("drybeans", client=client, body=body).outputs[0].data))
