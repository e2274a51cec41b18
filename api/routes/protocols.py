"""The Open Inference Protocol (/v2) and KServe's V1: existing clients work unchanged.

Both are answered through the queue, as jobs that are waited for.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, request

from api.reading import read_json
from api.responses import json_response
from api.routes.answering import await_rows, submit_now
from api.services import Services
from api.tensors import LABELS, PROBABILITIES, read_rows, write_outputs
from shared.domain.errors import DatabaseDown, ModelNotFound, ModelUnknown, RequestInvalid
from shared.domain.manifest import Manifest

_INFER_MEMBERS: Final = frozenset({"id", "inputs", "outputs", "parameters"})


def blueprint(services: Services) -> Blueprint:
    """Make the routes under /v2 and /v1."""
    routes = Blueprint("protocols", __name__)
    _add_server(routes, services)
    _add_models(routes, services)

    @routes.get("/v1/models/<name>")
    def status(name: str) -> Response:
        manifest = _find(services, name)
        return json_response({"name": manifest.name, "ready": True})

    @routes.post("/v1/models/<name>:predict")
    def predict(name: str) -> Response:
        manifest = _find(services, name)
        document = read_json(request)
        job = submit_now(services, {"instances": document.get("instances"), "model": manifest.id})
        rows = await_rows(services, job, lambda row: f"/instances/{row}")
        return json_response({"predictions": [row["label"] for row in rows]})

    return routes


def _add_server(routes: Blueprint, services: Services) -> None:
    @routes.get("/v2")
    def server() -> Response:
        return json_response({"name": "drybeans", "version": "1", "extensions": []})

    @routes.get("/v2/health/live")
    def live() -> Response:
        return json_response({"live": True})

    @routes.get("/v2/health/ready")
    def ready() -> Response:
        try:
            services.database.ping()
        except DatabaseDown:
            return json_response({"ready": False}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response({"ready": True})


def _add_models(routes: Blueprint, services: Services) -> None:
    @routes.get("/v2/models/<name>")
    @routes.get("/v2/models/<name>/versions/<version>")
    def metadata(name: str, version: str = "") -> Response:
        manifest = _find(services, name, version)
        versions = [m.version for m in services.catalog().all() if m.name == manifest.name]
        return json_response(_metadata(manifest, versions))

    @routes.get("/v2/models/<name>/ready")
    @routes.get("/v2/models/<name>/versions/<version>/ready")
    def model_ready(name: str, version: str = "") -> Response:
        manifest = _find(services, name, version)
        return json_response({"name": manifest.name, "ready": True})

    @routes.post("/v2/models/<name>/infer")
    @routes.post("/v2/models/<name>/versions/<version>/infer")
    def infer(name: str, version: str = "") -> Response:
        manifest = _find(services, name, version)
        document = read_json(request, untyped=True)
        names = _read_outputs(document, manifest)
        job = submit_now(services, _as_job(document, manifest, names))
        rows = await_rows(services, job, lambda row: f"/inputs/0/data/{row}")
        answer = {
            "model_name": manifest.name,
            "model_version": str(manifest.version),
            "outputs": write_outputs(rows, manifest, names),
        }
        given = document.get("id")
        return json_response(answer | ({"id": given} if given is not None else {}))


def _find(services: Services, name: str, version: str = "") -> Manifest:
    try:
        return services.catalog.resolve(f"{name}@{version}" if version else name)
    except ModelUnknown as error:
        raise ModelNotFound(error.detail) from None


def _as_job(document: Mapping[str, Any], manifest: Manifest, names: list[str]) -> dict[str, Any]:
    unknown = sorted(document.keys() - _INFER_MEMBERS)
    if unknown:
        raise RequestInvalid(f"Unknown member {unknown[0][:80]!r}.")
    if not isinstance(document.get("id", ""), str):
        raise RequestInvalid("id must be text.")
    outputs = ["label", "probabilities"] if PROBABILITIES in names else ["label"]
    rows = read_rows(document.get("inputs"), manifest)
    return {"instances": rows, "model": manifest.id, "outputs": outputs}


def _read_outputs(document: Mapping[str, Any], manifest: Manifest) -> list[str]:
    possible = [LABELS] + ([PROBABILITIES] if "probabilities" in manifest.outputs else [])
    asked = document.get("outputs")
    if asked is None:
        return [LABELS]
    if not (isinstance(asked, list) and asked):
        raise RequestInvalid("outputs must be a list of at least one output.")
    names = [item.get("name") if isinstance(item, dict) else None for item in asked]
    if any(name not in possible for name in names) or len(set(names)) < len(names):
        raise RequestInvalid(f"Each output is one of {', '.join(possible)}, named once.")
    return [str(name) for name in names]


def _metadata(manifest: Manifest, versions: list[int]) -> dict[str, Any]:
    outputs = [{"name": LABELS, "datatype": "BYTES", "shape": [-1]}]
    if "probabilities" in manifest.outputs:
        shape = [-1, len(manifest.classes)]
        outputs.append({"name": PROBABILITIES, "datatype": "FP64", "shape": shape})
    return {
        "name": manifest.name,
        "versions": [str(version) for version in versions],
        "platform": "sklearn",
        "inputs": [{"name": "rows", "datatype": "FP64", "shape": [-1, len(manifest.features)]}],
        "outputs": outputs,
        "parameters": {"version": str(manifest.version)},
    }
