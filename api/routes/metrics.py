"""Metrics in the format of Prometheus."""

from flask import Blueprint, Response

from api.services import Services
from shared.counting import CONTENT_TYPE, counted_by_all, exposition
from shared.metrics import LooksAtScrape


def blueprint(services: Services) -> Blueprint:
    """Make GET /metrics: what all processes of this API counted, and how things stand."""
    routes = Blueprint("metrics", __name__)
    standing = LooksAtScrape(services.standing)

    @routes.get("/metrics")
    def metrics() -> Response:
        body = exposition(counted_by_all(services.metrics.registry), standing)
        return Response(body, content_type=CONTENT_TYPE)

    return routes
