"""Whether the process lives, and whether it can do its work."""

from http import HTTPStatus

from flask import Blueprint, Response

from api.responses import json_response
from api.services import Services
from shared.domain.errors import DatabaseDown, QueueDown


def blueprint(services: Services) -> Blueprint:
    """Make /healthz and /readyz."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        return json_response({"status": "ok"})

    @routes.get("/readyz")
    def readyz() -> Response:
        """Without Redis jobs are still accepted, and published later: degraded, but ready."""
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
