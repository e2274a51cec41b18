"""The synchronous call of the walkthrough: submits a job and waits for it."""

import json
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

from api.bootstrap import Services
from api.http.json_body import parse_json, read_json
from api.openapi.components import BEAN
from api.openapi.operation import Content, Operation, ok
from api.routes.answering import WAITED, await_rows, submit_and_log
from api.schemas.job_options import INSTANCES
from api.schemas.validation import validate
from shared.db.jobs.cancel import hard_delete
from shared.domain.errors import BodyMalformed, RequestInvalid


class PredictRequest(BaseModel):
    """A request of the walkthrough."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Checked like the rows of any job.
    data: Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, INSTANCES]})] = Field(
        description="Rows of numbers, as a JSON string or as an array."
    )
    store: bool = Field(
        default=True, description="If false, the job is deleted after the response."
    )
    model: str | None = Field(default=None, description="A model name, with or without a version.")


class PredictResponse(TypedDict):
    """A response of the walkthrough."""

    predictions: Annotated[str, Field(description="A list of labels, as a JSON string.")]


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of POST /predict."""
    routes = Blueprint("predict", __name__)

    @routes.post("/predict")
    @Operation(
        tag="predictions",
        responses=ok(PredictResponse, bean={"predictions": '["DERMASON"]'}),
        errors=WAITED,
        body=(Content(shape=PredictRequest, examples={"a bean": {"data": json.dumps([BEAN])}}),),
    )
    def predict() -> Response:
        """Predict the labels of rows, as in the walkthrough.

        Rows and labels are JSON strings. The request submits a job and waits for it.
        """
        call = validate(PredictRequest, read_json(request))
        job = submit_and_log(services, _as_submission(call), rows_at="/data")
        try:
            rows = await_rows(services, job, lambda row: f"/data/{row}")
        finally:
            if not call.store:
                services.database.write(lambda connection: hard_delete(connection, job.id))
        # The labels are a JSON string inside JSON, as in the walkthrough.
        document: PredictResponse = {"predictions": json.dumps([row["label"] for row in rows])}
        return Response(json.dumps(document), content_type="application/json")

    return routes


def _as_submission(call: PredictRequest) -> dict[str, Any]:
    rows = call.data
    if isinstance(rows, str):
        try:
            rows = parse_json(rows, "data")
        except BodyMalformed as error:
            raise RequestInvalid(error.detail) from None
    return {"instances": rows} | ({} if call.model is None else {"model": call.model})
