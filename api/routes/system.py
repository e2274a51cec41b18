"""Liveness and readiness probes."""

from http import HTTPStatus
from typing import Final, Literal

from flask import Blueprint, Response
from typing_extensions import TypedDict

from api.bootstrap import Services
from api.http.responses import json_response
from api.openapi.operation import Content, Operation, ResponseSpec, ok
from shared.domain.errors import DatabaseDown, QueueDown


class Health(TypedDict):
    """The liveness of the process."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """The readiness of the service and the state of each dependency."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, Literal["ok", "down"]]


_READY: Final = Operation(
    tag="service",
    responses=ok(Readiness)
    | {
        HTTPStatus.SERVICE_UNAVAILABLE: ResponseSpec(
            detail="The database does not respond; route no traffic here.",
            content=(Content(shape=Readiness),),
            headers=("Retry-After",),
        )
    },
)


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of /healthz and /readyz."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    @Operation(tag="service", responses=ok(Health))
    def healthz() -> Response:
        """Return the liveness of the process."""
        return json_response({"status": "ok"})

    @routes.get("/readyz")
    @_READY
    def readyz() -> Response:
        """Return whether jobs can be accepted.

        While Redis is down, jobs are still accepted and published later: the service is degraded
        but ready.
        """
        checks = {"database": _database(services), "redis": _redis(services)}
        if checks["database"] != "ok":
            return json_response(
                {"status": "unavailable", "checks": checks},
                HTTPStatus.SERVICE_UNAVAILABLE,
                {"Retry-After": "2"},
            )
        status = "ok" if checks["redis"] == "ok" else "degraded"
        return json_response({"status": status, "checks": checks})

    return routes


def _database(services: Services) -> str:
    try:
        services.database.ping()
    except DatabaseDown:
        return "down"
    return "ok"


def _redis(services: Services) -> str:
    try:
        services.queue.ping()
    except QueueDown:
        return "down"
    return "ok"
