"""List and describe models."""

from flask import Blueprint, Response

from api.bootstrap import Services
from api.http.responses import json_response
from api.openapi.operation import Operation, ok
from api.schemas.job import ModelDocument, ModelList, ModelSummary, model_document
from shared.domain.errors import ModelNotFound, ModelUnknown
from shared.models.manifest import Manifest


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the routes under /models."""
    routes = Blueprint("models", __name__)

    def document(manifest: Manifest) -> ModelDocument:
        default = services.catalog().default_version(manifest.name) == manifest.version
        return model_document(manifest, default=default)

    @routes.get("/models")
    @Operation(tag="models", responses=ok(ModelList))
    def index() -> Response:
        """List all versions of all models."""
        listed: ModelList = {"models": [_short(document(m)) for m in services.catalog().all()]}
        return json_response(listed)

    @routes.get("/models/<name>")
    @Operation(tag="models", responses=ok(ModelDocument), errors=(ModelNotFound,))
    def default(name: str) -> Response:
        """Return the default version of a model."""
        return json_response(document(_find(services, name)))

    @routes.get("/models/<name>/<version>")
    @Operation(tag="models", responses=ok(ModelDocument), errors=(ModelNotFound,))
    def version(name: str, version: str) -> Response:
        """Return a model version: features, units, ranges, metrics, sample rows."""
        return json_response(document(_find(services, f"{name}@{version}")))

    return routes


def _short(model: ModelDocument) -> ModelSummary:
    return {
        "name": model["name"],
        "version": model["version"],
        "default": model["default"],
        "description": model["description"],
        "classes": model["classes"],
        "outputs": model["outputs"],
        "links": model["links"],
    }


def _find(services: Services, name: str) -> Manifest:
    try:
        return services.catalog.resolve(name)
    except ModelUnknown as error:
        # An unknown name is a missing resource in a path but a validation error in a job.
        raise ModelNotFound(error.detail) from None
