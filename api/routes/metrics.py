"""Metrics in the format of Prometheus."""

from http import HTTPStatus

from flask import Blueprint, Response, g

from api.bootstrap import Services
from api.openapi.operation import Content, Operation, ResponseSpec
from shared.domain.errors import NotPermitted
from shared.observability.metrics import ScrapeCollector
from shared.observability.multiprocess import CONTENT_TYPE, aggregate_metrics, exposition


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of GET /metrics, which aggregates all processes of this API."""
    routes = Blueprint("metrics", __name__)
    state_collector = ScrapeCollector(services.state_collector)

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
        """Return metrics in the Prometheus text format.

        While API keys are on, metrics are served only on the port of DRYBEANS_METRICS_PORT,
        because they cover the jobs of all keys.
        """
        if g.caller.owner:
            raise NotPermitted(
                "An API key does not permit reading metrics, which cover the jobs of all keys. "
                "They are served on the port of DRYBEANS_METRICS_PORT."
            )
        body = exposition(aggregate_metrics(services.metrics.registry), state_collector)
        return Response(body, content_type=CONTENT_TYPE)

    return routes
