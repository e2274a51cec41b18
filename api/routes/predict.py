"""The walkthrough's own call: a job like any other that is waited for."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from api.reading import parse_json, read_json
from api.routes.answering import await_rows, submit_now
from api.services import Services
from shared.db.stops import discard
from shared.domain.errors import BodyMalformed, RequestInvalid


def blueprint(services: Services) -> Blueprint:
    """Make POST /predict."""
    routes = Blueprint("predict", __name__)

    @routes.post("/predict")
    def predict() -> Response:
        document = read_json(request)
        keep = _read_store(document)
        job = submit_now(services, _as_submission(document))
        try:
            rows = await_rows(services, job, lambda row: f"/data/{row}")
        finally:
            if not keep:
                services.database.write(lambda connection: discard(connection, job.id))
        # Both fields are JSON inside text, as the walkthrough has them.
        labels = [row["label"] for row in rows]
        body = json.dumps({"predictions": json.dumps(labels)})
        return Response(body, content_type="application/json")

    return routes


def _read_store(document: Mapping[str, Any]) -> bool:
    keep = document.get("store", True)
    if not isinstance(keep, bool):
        raise RequestInvalid("store must be true or false.")
    return keep


def _as_submission(document: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(document.keys() - {"data", "store", "model"})
    if unknown:
        raise RequestInvalid(f"Unknown member {unknown[0][:80]!r}: send data, and store if false.")
    rows = document.get("data")
    if isinstance(rows, str):
        try:
            rows = parse_json(rows)
        except BodyMalformed as error:
            raise RequestInvalid(f"data is not JSON. {error.detail}") from None
    submission = {"instances": rows}
    return submission | {"model": document["model"]} if "model" in document else submission
