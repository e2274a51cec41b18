"""The stock design's worker: one Celery task for each job."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from celery import Celery, signals
from sqlalchemy.orm import sessionmaker

from bench.stock.models import Job, open_engine

app = Celery("stock", broker=os.environ.get("STOCK_REDIS_URL"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
)
_process: dict[str, Any] = {}


@signals.worker_process_init.connect
def _start(**_: object) -> None:
    """Load the model and open the database once for each process."""
    from shared.models.registry import ModelRegistry  # noqa: PLC0415 - the API needs none of it
    from worker.models.artifacts import load  # noqa: PLC0415

    catalog = ModelRegistry.read(Path(os.environ["STOCK_MODEL"]))
    _process["model"] = load(catalog.folder(catalog.resolve("drybeans"))).estimator
    _process["sessions"] = sessionmaker(open_engine(os.environ["STOCK_DATABASE_URL"]))


@app.task(name="predict")
def predict(job_id: str) -> None:
    """Predict the rows of one job and commit its labels."""
    with _process["sessions"]() as session:
        job = session.get(Job, job_id)
        if job is None or job.state == "done":
            return
        labels = _process["model"].predict(np.array(job.instances, dtype=float))
        job.labels = [str(label) for label in labels]
        job.state = "done"
        job.finished_at = datetime.now(UTC)
        session.commit()
