"""The walkthrough's own call: a job like any other that is waited for."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from api.idempotency import Origin
from api.reading import parse_json, read_json
from api.routes.finding import check_room, find_job, owner
from api.routes.results import read_rows
from api.services import Services
from shared.db.stops import discard
from shared.domain.errors import BodyMalformed, Fault, RequestInvalid, WaitTimedOut
from shared.domain.jobs import Job, JobState


def blueprint(services: Services) -> Blueprint:
    """Make POST /predict."""
    routes = Blueprint("predict", __name__)

    @routes.post("/predict")
    def predict() -> Response:
        document = read_json(request)
        keep = _read_store(document)
        check_room(services)
        job = services.submit(_as_submission(document), Origin(owner=owner()))
        try:
            labels = _await_labels(services, job)
        finally:
            if not keep:
                services.database.write(lambda connection: discard(connection, job.id))
        # Both fields are JSON inside text, as the walkthrough has them.
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


def _await_labels(services: Services, job: Job) -> list[str]:
    seconds = services.settings.predict_wait_seconds
    if not services.waiter.wait(job.id, seconds):
        raise WaitTimedOut(
            f"No worker answered within {seconds:g} s. Unless store is false the job goes on: "
            f"GET /jobs/{job.id}"
        )
    done = find_job(services, job.id)
    if done.state is not JobState.SUCCEEDED:
        raise RequestInvalid(
            "Some rows have no label; errors says why.",
            faults=_faults(read_rows(services, done, 0, done.rows_total)),
        )
    return [row["label"] for row in read_rows(services, done, 0, done.rows_total)]


def _faults(rows: list[dict[str, Any]]) -> tuple[Fault, ...]:
    return tuple(
        Fault(
            pointer=f"/data/{row['row']}",
            code=row["error"]["code"],
            detail=row["error"]["detail"],
        )
        for row in rows
        if "error" in row
    )
