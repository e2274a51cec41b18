"""The OpenAPI document and Swagger UI with self-hosted assets."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import flask_swagger_ui
from flask import Blueprint, Response, current_app, render_template, send_from_directory
from werkzeug.exceptions import NotFound

from api.bootstrap import Services
from api.http.responses import json_response
from api.openapi.generator import openapi_document
from api.openapi.operation import Operation, ok
from shared.domain.errors import HostNotAllowed

_DIST: Final = Path(flask_swagger_ui.__file__).parent / "dist"
_ASSETS: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})


def blueprint(services: Services, public: frozenset[str]) -> Blueprint:
    """Return the blueprint of GET /openapi.json and GET /docs.

    `public` names the endpoints that need no key.
    """
    routes = Blueprint("documents", __name__)

    @cache
    def document() -> dict[str, Any]:
        return openapi_document(current_app, public=public, keys=services.settings.api_keys)

    @routes.get("/openapi.json")
    @Operation(tag="service", responses=ok(dict[str, Any]), errors=(HostNotAllowed,))
    def openapi() -> Response:
        """Return this OpenAPI document."""
        return json_response(document())

    @routes.get("/docs")
    def docs() -> str:
        return render_template("docs.html")

    @routes.get("/docs/<asset>")
    def docs_asset(asset: str) -> Response:
        if asset not in _ASSETS:
            raise NotFound
        return send_from_directory(_DIST, asset, max_age=86400)

    return routes
