"""The walkthrough's own call: a job like any other that is waited for."""

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


class PredictCall(BaseModel):
    """The walkthrough's request."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Checked with the rows of any job.
    data: Annotated[Any, WithJsonSchema({"anyOf": [{"type": "string"}, INSTANCES]})] = Field(
        description="Rows of numbers, as JSON inside text or as they are."
    )
    store: bool = Field(default=True, description="false erases the job after the answer.")
    model: str | None = Field(default=None, description="A model's name, or name and version.")


class Predictions(TypedDict):
    """The walkthrough's answer."""

    predictions: Annotated[str, Field(description="A list of labels, as JSON inside text.")]


def blueprint(services: Services) -> Blueprint:
    """Make POST /predict."""
    routes = Blueprint("predict", __name__)

    @routes.post("/predict")
    @Operation(
        tag="predictions",
        responses=ok(Predictions, bean={"predictions": '["DERMASON"]'}),
        errors=WAITED,
        body=(Content(shape=PredictCall, examples={"a bean": {"data": json.dumps([BEAN])}}),),
    )
    def predict() -> Response:
        """Send rows and get their labels, as the walkthrough does.

        Rows and labels are JSON inside text. It is a job that is waited for.
        """
        call = validate(PredictCall, read_json(request))
        job = submit_and_log(services, _as_submission(call), rows_at="/data")
        try:
            rows = await_rows(services, job, lambda row: f"/data/{row}")
        finally:
            if not call.store:
                services.database.write(lambda connection: hard_delete(connection, job.id))
        # Both fields are JSON inside text, as the walkthrough has them.
        answer: Predictions = {"predictions": json.dumps([row["label"] for row in rows])}
        body = json.dumps(answer)
        return Response(body, content_type="application/json")

    return routes


def _as_submission(call: PredictCall) -> dict[str, Any]:
    rows = call.data
    if isinstance(rows, str):
        try:
            rows = parse_json(rows, "data")
        except BodyMalformed as error:
            raise RequestInvalid(error.detail) from None
    return {"instances": rows} | ({} if call.model is None else {"model": call.model})
