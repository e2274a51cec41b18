"""The stock design's API: commit the job, send its task, answer 202."""

import os
from typing import Any

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session, sessionmaker

from bench.stock.models import Job, open_engine
from bench.stock.tasks import predict


def create_app() -> Flask:
    """Make the application; its tables are there."""
    app = Flask(__name__)
    engine = open_engine(os.environ["STOCK_DATABASE_URL"])
    sessions = sessionmaker(engine, expire_on_commit=False)

    @app.get("/healthz")
    def health() -> ResponseReturnValue:
        return jsonify(status="ok")

    @app.post("/jobs")
    def submit() -> ResponseReturnValue:
        instances = request.get_json().get("instances")
        if not _valid(instances):
            abort(400)
        with sessions() as session:
            job = Job(instances=instances)
            session.add(job)
            session.commit()
        predict.delay(job.id)
        return jsonify(id=job.id, state=job.state), 202

    @app.get("/jobs/<job_id>")
    def look(job_id: str) -> ResponseReturnValue:
        with sessions() as session:
            return jsonify(_document(session, job_id))

    return app


def _valid(instances: object) -> bool:
    return (
        isinstance(instances, list)
        and bool(instances)
        and all(isinstance(row, list) and len(row) == 16 for row in instances)
        and all(isinstance(value, int | float) for row in instances for value in row)
    )


def _document(session: Session, job_id: str) -> dict[str, Any]:
    job = session.get(Job, job_id)
    if job is None:
        abort(404)
    return {
        "id": job.id,
        "state": job.state,
        "labels": job.labels,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }
