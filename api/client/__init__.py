"""The Python client of drybeans: speaks HTTP, and needs nothing of the server."""

from api.client.aio import AsyncClient
from api.client.errors import (
    AnswerInvalid,
    Busy,
    ClientError,
    Conflict,
    Fault,
    InputInvalid,
    NotAllowed,
    NotFound,
    Refused,
    Unreachable,
    WaitTimedOut,
)
from api.client.patience import Patience
from api.client.sync import Client
from api.client.values import FailedRow, Job, Model, Reason, Report, Row, Rows

__all__ = [
    "AnswerInvalid", "AsyncClient", "Busy", "Client", "ClientError", "Conflict", "FailedRow",
    "Fault", "InputInvalid", "Job", "Model", "NotAllowed", "NotFound", "Patience", "Reason",
    "Refused", "Report", "Row", "Rows", "Unreachable", "WaitTimedOut",
]  # fmt: skip
