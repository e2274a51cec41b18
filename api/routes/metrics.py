"""Metrics in the format of Prometheus."""

from http import HTTPStatus

from flask import Blueprint, Response

from api.openapi.operation import Answer, Content, Operation
from api.services import Services
from shared.counting import CONTENT_TYPE, counted_by_all, exposition
from shared.metrics import LooksAtScrape


def blueprint(services: Services) -> Blueprint:
    """Make GET /metrics: what all processes of this API counted, and how things stand."""
    routes = Blueprint("metrics", __name__)
    standing = LooksAtScrape(services.standing)

    @routes.get("/metrics")
    @Operation(
        tag="service",
        answers={
            HTTPStatus.OK: Answer(
                detail="Counters and gauges.", content=(Content(kind="text/plain"),)
            )
        },
    )
    def metrics() -> Response:
        """Read metrics as Prometheus does."""
        body = exposition(counted_by_all(services.metrics.registry), standing)
        return Response(body, content_type=CONTENT_TYPE)

    return routes
