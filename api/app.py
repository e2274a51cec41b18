"""The Flask application, made from its services."""

from typing import Final

from flask import Flask, Response, g, request

from api.access import OpenAccess, record_refusal
from api.errors import register_errors
from api.routes import (
    changes,
    documents,
    events,
    health,
    home,
    jobs,
    listing,
    metrics,
    models,
    predict,
    protocols,
    results,
    webhooks,
)
from api.services import Services
from api.watching import watch_requests
from shared.domain.errors import DryBeansError

_PARTS: Final = (
    *(health, home, jobs, listing, changes, events, results, webhooks, models, predict),
    *(protocols, metrics),
)
PUBLIC: Final = frozenset(
    {
        "static",
        "documents.docs",
        "documents.docs_asset",
        "documents.openapi",
        "health.healthz",
        "health.readyz",
        "protocols.live",
        "protocols.ready",
    }
)

# What browsers are told; another site may call the API only where a proxy in front allows it.
_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(services: Services) -> Flask:
    """Make the application; importing this module or calling this opens no connection."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_body_bytes
    app.url_map.strict_slashes = False
    register_errors(app, max_body_bytes=services.settings.max_body_bytes)
    for part in _PARTS:
        app.register_blueprint(part.blueprint(services))
    app.register_blueprint(documents.blueprint(services, PUBLIC))
    watch_requests(app, services.metrics, services.traces)
    app.before_request(lambda: _admit(services))
    app.after_request(_harden)
    return app


def _admit(services: Services) -> None:
    """Let the request in, or refuse it; what is public needs no key."""
    g.caller = OpenAccess().identify(None)
    pages = request.blueprint == "home"
    if pages or request.endpoint in PUBLIC or _from_prometheus(services):
        return
    try:
        g.caller = services.access.identify(request.headers.get("Authorization"))
    except DryBeansError as error:
        record_refusal(error, method=request.method, path=request.path, address=request.remote_addr)
        raise


def _from_prometheus(services: Services) -> bool:
    """Say whether metrics are asked for on the port that is theirs; elsewhere they need a key."""
    # By the socket that the request came in at, not by what its head says.
    port = str(services.settings.metrics_port)
    return request.endpoint == "metrics.metrics" and request.environ.get("SERVER_PORT") == port


def _harden(response: Response) -> Response:
    response.headers.update(_ALWAYS)
    if response.mimetype == "text/html":
        response.headers.update(_PAGE)
    return response
