"""Clients that submit mixed jobs without pause and remember every answer."""

import csv
import io
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.chaos.beans import Beans, Row, poison_row

# How many of each kind, out of all; poison is dealt apart.
_MIX: Final = {"row": 60, "small": 20, "csv": 8, "bulk": 5, "upload": 4, "canceled": 3}
_SIZES: Final = {
    "row": (1, 1),
    "poison": (1, 1),
    "small": (2, 40),
    "csv": (2, 90),
    "bulk": (150, 700),
    "upload": (500, 2000),
    "canceled": (150, 900),
    "aborted": (3000, 5000),
    "huge": (20_000, 20_000),
    "webhook": (1, 1),
}
_CSV_KINDS: Final = frozenset({"csv", "upload", "aborted", "huge"})
# What a client may conclude from an answer, and what is none of its business.
_NOT_ACCEPTED: Final = re.compile(
    r"nothing was (accepted|stored)|was not (accepted|stored)", re.IGNORECASE
)
_INTERNALS: Final = re.compile(r"pymysql|sqlalchemy|sqlite3|INSERT INTO|SELECT |UPDATE |\(\d{4},")
_REFUSED: Final = {503, 409}
_AGAIN_SECONDS: Final = 0.2
# On a busy machine an API that was killed or reloaded takes this long to start again.
_PATIENCE_SECONDS: Final = 40.0


@dataclass(slots=True, kw_only=True, eq=False)
class Sent:
    """One job as a client sent it. `labels` has None for a row that cannot be predicted.

    `job` is the id in the 202, None while there was none. With `key` all tries are one job.
    `denied` says that the last answer was that nothing was accepted, `cancel_denied` that the
    job was said not to be cancelable.
    """

    tag: str
    kind: str
    version: int
    labels: Sequence[str | None]
    rows: Sequence[Sequence[float | None]]
    key: bool
    job: str | None = None
    canceled: bool = False
    denied: bool = False
    cancel_denied: bool = False


@dataclass(slots=True)
class Record:
    """What all clients saw: everything sent, and every answer that should not be."""

    sent: dict[str, Sent] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def accepted(self) -> list[Sent]:
        """Return everything that was answered with 202."""
        return [sent for sent in self.sent.values() if sent.job is not None]


class Client(threading.Thread):
    """Sends one job after the other until `stop`; `poison` of them kill their worker."""

    def __init__(self, number: int, url: str, beans: Beans, record: Record, seed: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.stop = threading.Event()
        self.poison = 0
        self.pause = 0.0
        self._number = number
        self._beans = beans
        self._record = record
        self._chance = random.Random(f"{seed}-{number}")
        self._count = 0
        self._http = httpx.Client(base_url=url, timeout=_PATIENCE_SECONDS, trust_env=False)

    def run(self) -> None:
        while not self.stop.wait(self._chance.uniform(0, 2 * self.pause)):
            self.send_one()
        self._http.close()

    def send_one(self) -> Sent | None:
        """Make a job and send it until it is accepted; None when `stop` came first."""
        kind = self._kind()
        sent = self._make(kind)
        while not self._post(sent):
            if self.stop.wait(_AGAIN_SECONDS):
                return None
            # Without a key the first try may have been committed too: it is another job.
            sent = sent if sent.key else self._make(kind)
        if kind == "canceled":
            self._cancel(sent)
        return sent

    @property
    def columns(self) -> Sequence[str]:
        """The columns of a CSV."""
        return self._beans.columns

    def prepare(self, kind: str) -> Sent:
        """Make a job of `kind` that is known to the verdict, and leave sending to the caller."""
        return self._make(kind)

    def submit(self, kind: str, params: Mapping[str, str], seconds: float) -> Sent | None:
        """Send a job of `kind` until it is accepted; return None when it is not in `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            sent = self._make(kind)
            if self._post(sent, params):
                return sent
            time.sleep(_AGAIN_SECONDS)
        return None

    def _kind(self) -> str:
        if self.poison and self._count > 5:
            self.poison -= 1
            return "poison"
        return self._chance.choices(list(_MIX), list(_MIX.values()))[0]

    def _make(self, kind: str) -> Sent:
        self._count += 1
        version = self._chance.choice([2, 2, 2, 1])
        picked = self._chance.choices(
            range(len(self._beans.rows)), k=self._chance.randint(*_SIZES[kind])
        )
        rows: list[Sequence[float | None]] = [self._beans.rows[index] for index in picked]
        labels: list[str | None] = [self._beans.labels[version][index] for index in picked]
        if kind in {"small", "csv", "upload"} and len(rows) > 2:
            _damage(rows, labels, self._chance.randrange(len(rows)))
        if kind == "poison":
            rows = [poison_row(self._beans, self._chance)]
        sent = Sent(
            tag=f"{self._number}-{self._count}",
            kind=kind,
            version=version,
            labels=labels,
            rows=rows,
            key=self._chance.random() < 0.3,
        )
        self._record.sent[sent.tag] = sent
        return sent

    def _post(self, sent: Sent, params: Mapping[str, str] | None = None) -> bool:
        begun = time.monotonic()
        sent.denied = False
        request = _request(sent, self._beans.columns, params or {})
        try:
            answer = self._http.post("/jobs", **request)
        except httpx.TransportError as error:
            self._record.answers[0] += 1
            if isinstance(error, httpx.ReadTimeout):
                self._record.surprises.append(
                    f"no answer to {sent.kind} {sent.tag} in {_PATIENCE_SECONDS:.0f} s"
                )
            return False
        self._record.answers[answer.status_code] += 1
        self._record.slowest = max(self._record.slowest, time.monotonic() - begun)
        # 200: sent again under its key, and finished meanwhile.
        if answer.status_code == 202 or (answer.status_code == 200 and sent.key):
            sent.job = answer.json()["id"]
            return True
        sent.denied = _NOT_ACCEPTED.search(answer.text) is not None
        if answer.status_code not in _REFUSED or _INTERNALS.search(answer.text):
            told = f"{answer.status_code} to {sent.kind} {sent.tag}: {answer.text[:300]}"
            self._record.surprises.append(told)
        return False

    def _cancel(self, sent: Sent) -> None:
        try:
            answer = self._http.post(f"/jobs/{sent.job}/cancel")
        except httpx.TransportError:
            return
        sent.canceled = answer.status_code == 200
        sent.cancel_denied = answer.status_code == 409
        if answer.status_code not in {200, 202, *_REFUSED} or _INTERNALS.search(answer.text):
            told = f"{answer.status_code} to cancel {sent.job}: {answer.text[:300]}"
            self._record.surprises.append(told)


def _damage(rows: list[Sequence[float | None]], labels: list[str | None], index: int) -> None:
    rows[index] = (None, *rows[index][1:])
    labels[index] = None


def _request(sent: Sent, columns: Sequence[str], params: Mapping[str, str]) -> dict[str, Any]:
    headers = {"Idempotency-Key": f"key-{sent.tag}"} if sent.key else {}
    model = f"drybeans@{sent.version}"
    if sent.kind in _CSV_KINDS:
        return {
            "content": as_csv(sent.rows, columns),
            "params": {"model": model, "label.tag": sent.tag, **params},
            "headers": headers | {"Content-Type": "text/csv"},
        }
    document = {"instances": sent.rows, "model": model, "labels": {"tag": sent.tag}, **params}
    if sent.kind == "small" and sent.version > 1:
        document["outputs"] = ["label", "probabilities"]
    return {"json": document, "headers": headers}


def as_csv(rows: Sequence[Sequence[float | None] | Row], columns: Sequence[str]) -> bytes:
    """Return the rows as a CSV with a header; what is missing is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(["" if value is None else repr(value) for value in row] for row in rows)
    return text.getvalue().encode()
