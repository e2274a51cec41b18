"""Metrics in the format of Prometheus."""

from http import HTTPStatus

from flask import Blueprint, Response, g

from api.bootstrap import Services
from api.openapi.operation import Content, Operation, ResponseSpec
from shared.domain.errors import NotPermitted
from shared.observability.metrics import ScrapeCollector
from shared.observability.multiprocess import CONTENT_TYPE, aggregate_metrics, exposition


def blueprint(services: Services) -> Blueprint:
    """Make GET /metrics: what all processes of this API counted, and how things stand."""
    routes = Blueprint("metrics", __name__)
    standing = ScrapeCollector(services.state_collector)

    @routes.get("/metrics")
    @Operation(
        tag="service",
        responses={
            HTTPStatus.OK: ResponseSpec(
                detail="Counters and gauges.", content=(Content(kind="text/plain"),)
            )
        },
        errors=(NotPermitted,),
    )
    def metrics() -> Response:
        """Read metrics as Prometheus does.

        Where keys are on they are served only on the port of DRYBEANS_METRICS_PORT: they tell of
        all keys' jobs.
        """
        if g.caller.owner:
            raise NotPermitted(
                "An API key does not permit reading metrics, which tell of all keys' jobs. "
                "Prometheus reads them on the port of DRYBEANS_METRICS_PORT."
            )
        body = exposition(aggregate_metrics(services.metrics.registry), standing)
        return Response(body, content_type=CONTENT_TYPE)

    return routes
