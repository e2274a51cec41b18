"""The whole service inside the test's own process: the real application and the real batch run.

Only the processes are missing. The database and Redis are real, the application is called by
Flask's client, and the worker takes its messages off Redis when the test says so.
"""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from io import RawIOBase
from pathlib import Path
from typing import Any, Final

import orjson
from flask.testing import FlaskClient
from pydantic import SecretStr
from redis import Redis
from werkzeug.test import TestResponse

from api.app import create_app
from api.bootstrap import build_services
from shared.broker.celery_message import refs_of, trace_contexts_of
from shared.domain.jobs import TERMINAL, JobId, Queue
from shared.settings import Settings
from tests.contract import CheckedClient
from worker.models.loader import ModelLoader
from worker.pool import new_runner

MODEL_ROOT: Final = Path(__file__).parent.parent / "model_artifacts"
_SECONDS: Final = 3600.0


class Service:
    """The API and one worker on a real database and Redis; `changes` are settings."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        *,
        models: ModelLoader | None = None,
        **changes: Any,
    ) -> None:
        models = models or ModelLoader(MODEL_ROOT)
        values: dict[str, Any] = {
            "database_url": SecretStr(database_url),
            "redis_url": SecretStr(redis_url),
            "model_root": models.root,
        }
        self.settings = Settings(**(values | changes))
        self.services = build_services(self.settings)
        app = create_app(self.services)
        # Every answer that any test sees is one that the OpenAPI document knows.
        app.test_client_class = CheckedClient
        self.client: FlaskClient = app.test_client()
        self.run = replace(new_runner(self.settings, "worker-1@test"), models=models)
        self._redis = Redis.from_url(redis_url)
        self.services.start()

    @property
    def database(self) -> Any:
        """The database, to look behind the API."""
        return self.services.database

    def stop(self) -> None:
        """Store what was taken in and close."""
        self.services.stop()
        self.run.database.close()
        self._redis.close()

    def work(self) -> int:
        """Be the worker: run every message that Redis holds now, and count them."""
        messages = 0
        for queue in Queue:
            while (taken := self._redis.rpop(queue.value)) is not None:
                # Celery's own form: base64 of [arguments, keywords, and what it adds].
                assert isinstance(taken, bytes)
                envelope = orjson.loads(taken)
                (message,), _, _ = orjson.loads(b64decode(envelope["body"]))
                refs = refs_of(message)
                self.run(refs, trace_contexts_of(refs, envelope["headers"]))
                messages += 1
        return messages

    def work_until(self, done: Callable[[], bool]) -> None:
        """Be the worker until `done`: messages are published by a thread, so they may be late."""
        deadline = time.monotonic() + _SECONDS
        while not done():
            assert time.monotonic() < deadline, "the work is not done in time"
            if not self.work():
                time.sleep(0.002)

    def post(self, path: str, body: Any, **options: Any) -> TestResponse:
        """POST a CSV (bytes, text, or a stream without a length) with further client options."""
        headers = {"Content-Type": "text/csv"} | options.pop("headers", {})
        if isinstance(body, bytes | str):
            return self.client.post(path, data=body, headers=headers, **options)
        # As a server hands over a chunked body: it ends where its stream does.
        headers = {"Transfer-Encoding": "chunked"} | headers
        environment = {"wsgi.input": body, "wsgi.input_terminated": True}
        return self.client.post(path, headers=headers, environ_overrides=environment, **options)

    def submit(self, body: Any, query: str = "", **options: Any) -> JobId:
        """POST a CSV that is accepted and return the job's id."""
        answer = self.post(f"/jobs{query}", body, **options)
        assert answer.status_code == 202, answer.text
        return JobId(answer.get_json()["id"])

    def job(self, job: JobId) -> dict[str, Any]:
        """Read a job's document."""
        answer = self.client.get(f"/jobs/{job}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.get_json()
        return document

    def finish(self, job: JobId) -> dict[str, Any]:
        """Work until `job` is finished and return its document."""
        self.work_until(lambda: self.job(job)["state"] in TERMINAL)
        return self.job(job)

    def run_csv(self, body: Any, query: str = "", **options: Any) -> dict[str, Any]:
        """Submit a CSV, run it to its end and return the job's document."""
        return self.finish(self.submit(body, query, **options))

    def rows(self, job: Mapping[str, Any], query: str = "") -> list[dict[str, Any]]:
        """Read all result rows of a job, as NDJSON."""
        answer = self.client.get(f"/jobs/{job['id']}/results?format=ndjson{query}")
        assert answer.status_code == 200, answer.text
        return [orjson.loads(line) for line in answer.data.splitlines()]

    def labels(self, job: Mapping[str, Any]) -> list[str | None]:
        """Read the label of each row of a job."""
        return [row.get("label") for row in self.rows(job)]


class Body(RawIOBase):
    """A request body that arrives in the given pieces, however much is asked for.

    A piece may be a function, which is called when its turn has come and gives no bytes.
    """

    def __init__(self, *pieces: bytes | Callable[[], object]) -> None:
        super().__init__()
        self._pieces: Iterator[bytes | Callable[[], object]] = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` with the rest of the current piece, as far as it goes."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            if callable(piece):
                piece()
            else:
                self._rest = piece
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def in_parts(text: str, *, each: int = 500) -> list[bytes]:
    """Return a CSV in the parts in which it arrives; a chunk ends with the part that fills it."""
    data = text.encode()
    return [data[at : at + each] for at in range(0, len(data), each)]


def break_off() -> None:
    """Be a connection that is reset, as a part of a `Body`."""
    raise ConnectionResetError
