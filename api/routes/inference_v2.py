"""The Open Inference Protocol (/v2) and KServe's V1: existing clients work unchanged.

Both run through the queue, as jobs that the request waits for.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, NotRequired

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

from api.bootstrap import Services
from api.http.json_body import read_json
from api.http.responses import json_response
from api.openapi.components import BEAN
from api.openapi.operation import Content, Operation, ResponseSpec, ok
from api.routes.answering import WAITED, await_rows, submit_and_log
from api.schemas.job import Tensor
from api.schemas.job_options import INSTANCES
from api.schemas.tensors import INPUTS, LABELS, PROBABILITIES, parse_tensors, write_outputs
from api.schemas.validation import validate
from shared.domain.errors import DatabaseDown, ModelNotFound, ModelUnknown, RequestInvalid
from shared.models.manifest import Manifest

_EXAMPLE: Final = {
    "inputs": [{"name": "rows", "datatype": "FP64", "shape": [1, 16], "data": BEAN}],
    "outputs": [{"name": LABELS}],
}


class ModelReady(TypedDict):
    """Whether a model is ready."""

    name: str
    ready: bool


class ServerLive(TypedDict):
    """The liveness of the process."""

    live: bool


class ServerReady(TypedDict):
    """Whether the service is ready."""

    ready: bool


class ServerMetadata(TypedDict):
    """The name and version of the server."""

    name: str
    version: str
    extensions: list[str]


class TensorShape(TypedDict):
    """The name, data type and shape of a tensor; -1 is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(TypedDict):
    """The versions, inputs and outputs of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorShape]
    outputs: list[TensorShape]
    parameters: dict[str, str]


class InferResponse(TypedDict):
    """The labels, and probabilities if requested, as tensors."""

    model_name: str
    model_version: str
    outputs: Sequence[Tensor]
    id: NotRequired[str]


class RequestedOutput(BaseModel):
    """A requested output; its parameters are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    name: str


class InferRequest(BaseModel):
    """Rows as one tensor, or as one tensor per feature."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str | None = None
    # Checked by `parse_tensors`, which knows the model.
    inputs: Annotated[Any, WithJsonSchema(INPUTS)]
    outputs: Annotated[list[RequestedOutput], Field(min_length=1)] | None = None
    parameters: Any = None


class V1Request(BaseModel):
    """Rows; other members are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    instances: Annotated[Any, WithJsonSchema(INSTANCES)]


class V1Response(TypedDict):
    """A label for each row."""

    predictions: list[str]


_READY: Final = ok(ModelReady) | {
    HTTPStatus.SERVICE_UNAVAILABLE: ResponseSpec(
        detail="No worker can load the model.", content=(Content(shape=ModelReady),)
    )
}
_INFER: Final = Operation(
    tag="v2",
    responses=ok(InferResponse),
    errors=(ModelNotFound, *WAITED),
    body=(Content(shape=InferRequest, examples={"a bean": _EXAMPLE}),),
)


def blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the routes under /v2 and /v1."""
    routes = Blueprint("protocols", __name__)
    _add_server(routes, services)
    _add_models(routes, services)

    @routes.get("/v1/models/<name>")
    @Operation(tag="v1", responses=_READY, errors=(ModelNotFound,))
    def status(name: str) -> Response:
        """Return whether a worker can load a model (KServe V1)."""
        return _ready(services, _find(services, name))

    @routes.post("/v1/models/<name>:predict")
    @Operation(
        tag="v1",
        responses=ok(V1Response, bean={"predictions": ["DERMASON"]}),
        errors=(ModelNotFound, *WAITED),
        body=(Content(shape=V1Request, examples={"a bean": {"instances": [BEAN]}}),),
    )
    def predict(name: str) -> Response:
        """Predict the labels of rows (KServe V1)."""
        manifest = _find(services, name)
        call = validate(V1Request, read_json(request))
        job = submit_and_log(services, {"instances": call.instances, "model": manifest.id})
        rows = await_rows(services, job, lambda row: f"/instances/{row}")
        response: V1Response = {"predictions": [row["label"] for row in rows]}
        return json_response(response)

    return routes


def _add_server(routes: Blueprint, services: Services) -> None:
    @routes.get("/v2")
    @Operation(tag="v2", responses=ok(ServerMetadata))
    def server() -> Response:
        """Return server metadata (Open Inference Protocol)."""
        return json_response({"name": "drybeans", "version": "1", "extensions": []})

    @routes.get("/v2/health/live")
    @Operation(tag="v2", responses=ok(ServerLive))
    def live() -> Response:
        """Return the liveness of the server (Open Inference Protocol)."""
        return json_response({"live": True})

    @routes.get("/v2/health/ready")
    @Operation(
        tag="v2",
        responses=ok(ServerReady)
        | {
            HTTPStatus.SERVICE_UNAVAILABLE: ResponseSpec(
                detail="The database does not respond.", content=(Content(shape=ServerReady),)
            )
        },
    )
    def ready() -> Response:
        """Return whether jobs can be accepted (Open Inference Protocol)."""
        try:
            services.database.ping()
        except DatabaseDown:
            return json_response({"ready": False}, HTTPStatus.SERVICE_UNAVAILABLE)
        return json_response({"ready": True})


def _add_models(routes: Blueprint, services: Services) -> None:
    @routes.get("/v2/models/<name>")
    @routes.get("/v2/models/<name>/versions/<version>")
    @Operation(tag="v2", responses=ok(ModelMetadata), errors=(ModelNotFound,))
    def metadata(name: str, version: str = "") -> Response:
        """Return the metadata of a model (Open Inference Protocol)."""
        manifest = _find(services, name, version)
        versions = [m.version for m in services.catalog().all() if m.name == manifest.name]
        return json_response(_metadata(manifest, versions))

    @routes.get("/v2/models/<name>/ready")
    @routes.get("/v2/models/<name>/versions/<version>/ready")
    @Operation(tag="v2", responses=_READY, errors=(ModelNotFound,))
    def model_ready(name: str, version: str = "") -> Response:
        """Return whether a worker can load a model (Open Inference Protocol)."""
        return _ready(services, _find(services, name, version))

    @routes.post("/v2/models/<name>/infer")
    @routes.post("/v2/models/<name>/versions/<version>/infer")
    @_INFER
    def infer(name: str, version: str = "") -> Response:
        """Predict the labels of rows sent as tensors (Open Inference Protocol)."""
        manifest = _find(services, name, version)
        call = validate(InferRequest, read_json(request, untyped=True))
        names = _read_outputs(call, manifest)
        job = submit_and_log(services, _as_job(call, manifest, names), rows_at="/inputs/0/data")
        rows = await_rows(services, job, lambda row: f"/inputs/0/data/{row}")
        response: InferResponse = {
            "model_name": manifest.name,
            "model_version": str(manifest.version),
            "outputs": write_outputs(rows, manifest, names),
        }
        if call.id is not None:
            response["id"] = call.id
        return json_response(response)


def _find(services: Services, name: str, version: str = "") -> Manifest:
    try:
        return services.catalog.resolve(f"{name}@{version}" if version else name)
    except ModelUnknown as error:
        raise ModelNotFound(error.detail) from None


def _ready(services: Services, manifest: Manifest) -> Response:
    ready = services.model_ready(manifest)
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return json_response({"name": manifest.name, "ready": ready}, status)


def _as_job(call: InferRequest, manifest: Manifest, names: list[str]) -> dict[str, Any]:
    outputs = ["label", "probabilities"] if PROBABILITIES in names else ["label"]
    rows = parse_tensors(call.inputs, manifest)
    return {"instances": rows, "model": manifest.id, "outputs": outputs}


def _read_outputs(call: InferRequest, manifest: Manifest) -> list[str]:
    possible = [LABELS] + ([PROBABILITIES] if "probabilities" in manifest.outputs else [])
    if call.outputs is None:
        return [LABELS]
    names = [output.name for output in call.outputs]
    if any(name not in possible for name in names) or len(set(names)) < len(names):
        raise RequestInvalid(f"Each output is one of {', '.join(possible)}, named once.")
    return names


def _metadata(manifest: Manifest, versions: list[int]) -> ModelMetadata:
    outputs: list[TensorShape] = [{"name": LABELS, "datatype": "BYTES", "shape": [-1]}]
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
