"""Generates requests from the document, sends them, and judges what comes back."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.working import BEAN

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_MOST_JOBS: Final = 200
_MOST_FAILURES: Final = 50


@dataclass(slots=True)
class Report:
    """What was sent and what came back; `failures` are answers that were not as documented."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)


class Fuzz:
    """Fuzzes the service at `url`, with an API key or without one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        """Read the document that the service gives of itself."""
        self.report = Report()
        self._session = requests.Session()
        self._session.trust_env = False
        document = self._session.get(f"{url}/openapi.json", timeout=600).json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=url)
        found: list[Any] = [*schema.get_all_operations()]
        self._operations = [operation.ok() for operation in found]
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._jobs: list[str] = []

    def run(self, count: int, first_seed: int) -> Report:
        """Send at least `count` requests, as many to each operation; each round has its seed."""
        round_size = max(2, min(50, count // len(self._operations) + 1))
        number = first_seed
        while self.report.sent < count:
            for operation in self._operations:
                self._fuzz(operation, round_size, number)
            number += 1
        return self.report

    def _fuzz(self, operation: Any, count: int, number: int) -> None:
        chance = random.Random(f"{number} {operation.label}")
        generated = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(generated))
        def send(case: Any) -> None:
            self._send(case, chance)

        try:
            send()
        except Unsatisfiable:
            # An operation that takes nothing has nothing that could be wrong.
            for _ in range(count):
                self._send(operation.Case(), chance)

    def _send(self, case: Any, chance: random.Random) -> None:
        self._make_likely(case, chance)
        # Nobody is to wait for half a minute.
        case.headers.pop("Prefer", None) if chance.random() < 0.9 else None
        response = case.call(session=self._session, headers=self._headers, timeout=600)
        self.report.sent += 1
        self.report.statuses[response.status_code] += 1
        self.report.operations[case.operation.label] += 1
        made = response.status_code in {200, 202} and case.path == "/jobs"
        if made and case.method == "POST" and "id" in response.json():
            self._jobs.append(response.json()["id"])
            del self._jobs[:-_MOST_JOBS]
        try:
            case.validate_response(response, checks=CHECKS, headers=self._headers)
        except FailureGroup as group:
            self._note(case, response.status_code, group)

    def _make_likely(self, case: Any, chance: random.Random) -> None:
        """Let some requests be about jobs, models and rows that there are."""
        if self._jobs and "job_id" in case.path_parameters and chance.random() < 0.7:
            case.path_parameters["job_id"] = chance.choice(self._jobs)
        if "name" in case.path_parameters and chance.random() < 0.7:
            case.path_parameters["name"] = "drybeans"
        if isinstance(case.body, dict) and chance.random() < 0.5:
            rows = [BEAN] * chance.randint(1, 3)
            tensor = {"name": "rows", "datatype": "FP64", "shape": [len(rows), 16], "data": rows}
            likely = {"instances": rows, "data": json.dumps(rows), "inputs": [tensor]}
            case.body |= {name: value for name, value in likely.items() if name in case.body}
            for name in ("model", "retention_seconds", "webhook", "outputs"):
                case.body.pop(name, None)
            case.query.clear()

    def _note(self, case: Any, status: int, group: FailureGroup) -> None:
        for failure in group.exceptions:
            name = f"{case.operation.label} {status}: {type(failure).__name__}"
            if len(self.report.failures) < _MOST_FAILURES and name not in self.report.failures:
                self.report.failures[name] = f"{failure}\n{case.as_curl_command()}"[:3000]
