"""The Flask application factory."""

from typing import Final

from flask import Flask, Response, g, request

from api.bootstrap import Services
from api.http.auth import AnonymousAuthenticator, record_refusal
from api.http.middleware import instrument_requests
from api.http.origin_policy import OriginPolicy
from api.http.problems import error_response, register_errors
from api.http.stream_limit import PIECE
from api.routes import inference_v2 as protocols
from api.routes import job_actions as changes
from api.routes import job_events as events
from api.routes import job_list as listing
from api.routes import jobs, metrics, models, predict, results, webhooks
from api.routes import openapi_docs as documents
from api.routes import system as health
from api.ui import routes as home
from shared.domain.errors import DryBeansError, TooManyStreams

_ROUTES: Final = (
    *(health, home, jobs, listing, changes, events, results, webhooks, models, predict),
    *(protocols, metrics),
)
PROBES: Final = frozenset({"health.healthz", "health.readyz", "protocols.live", "protocols.ready"})
"""Endpoints of probes, served for any Host because they reveal nothing about jobs."""
PUBLIC: Final = PROBES | {
    "static",
    "documents.docs",
    "documents.docs_asset",
    "documents.openapi",
}

_SAFE: Final = frozenset({"GET", "HEAD"})
_PREDICTIONS: Final = frozenset({"predict", "protocols"})

# Security headers; another site may call the API only where a proxy in front allows it.
_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(services: Services) -> Flask:
    """Create the application; neither this call nor importing the module opens a connection."""
    app = Flask(__name__, template_folder="ui/templates", static_folder="ui/static")
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_body_bytes
    app.url_map.strict_slashes = False
    register_errors(app, max_body_bytes=services.settings.max_body_bytes)
    for routes in _ROUTES:
        app.register_blueprint(routes.blueprint(services))
    app.register_blueprint(documents.blueprint(services, PUBLIC))
    instrument_requests(app, services.metrics, services.traces)
    policy = OriginPolicy(hosts=services.settings.hosts, origins=services.settings.origins)
    app.before_request(lambda: _admit(services, policy))
    app.after_request(_harden)
    app.after_request(lambda response: _limit_size(services, response))
    return app


def _admit(services: Services, policy: OriginPolicy) -> None:
    """Check host, origin and API key; record and re-raise the error that refuses the request."""
    g.caller = AnonymousAuthenticator().authenticate(None)
    try:
        if request.endpoint in PROBES or _from_prometheus(services):
            return
        policy.check_host(request.headers)
        policy.check_origin(request.method, request.headers)
        if request.blueprint != "home" and request.endpoint not in PUBLIC:
            g.caller = services.authenticator.authenticate(request.headers.get("Authorization"))
    except DryBeansError as error:
        record_refusal(error, method=request.method, path=request.path, address=request.remote_addr)
        raise


def _from_prometheus(services: Services) -> bool:
    """Return whether metrics are requested on their own port; elsewhere they need a key."""
    # The port of the accepting socket, not of the Host header, which clients choose.
    port = str(services.settings.metrics_port)
    return request.endpoint == "metrics.metrics" and request.environ.get("SERVER_PORT") == port


def _limit_size(services: Services, response: Response) -> Response:
    """Count a large response that is held in memory against the limit of downloads."""
    # Public responses are constants; the report of a change that was made must not be refused.
    changing = request.method not in _SAFE and request.blueprint not in _PREDICTIONS
    large = response.is_sequence and (response.content_length or 0) > PIECE
    if not large or changing or request.endpoint in PUBLIC:
        return response
    try:
        return services.downloads.hold(response)
    except TooManyStreams as error:
        return error_response(error)


def _harden(response: Response) -> Response:
    response.headers.update(_SECURITY_HEADERS)
    if response.mimetype == "text/html":
        response.headers.update(_PAGE_HEADERS)
    return response
