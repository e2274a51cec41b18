"""Generate the OpenAPI document of an application from its routes."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from flask import Flask
from pydantic import BaseModel, TypeAdapter
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from api.http.origin_policy import SAFE_METHODS
from api.http.problems import STATUS, Problem, headers_of, http_code
from api.openapi.components import HEADERS, PATH, REQUEST_HEADERS
from api.openapi.operation import Content, Errors, Operation, ResponseSpec, operation_of
from api.schemas.job_options import LABEL_PREFIX, label_values
from shared.domain.errors import (
    CrossOriginRefused,
    DatabaseDown,
    HostNotAllowed,
    KeyMissing,
    KeyWrong,
    QuotaExceeded,
    TooManyStreams,
)

_REFS: Final = "#/components/schemas/{model}"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_GUARDED: Final[Errors] = (
    *(HostNotAllowed, KeyMissing, KeyWrong, QuotaExceeded, DatabaseDown),
    TooManyStreams,
)
"""The errors of every route that may require a key; its response may be large."""
_UNSAFE: Final[Errors] = (CrossOriginRefused,)
"""The errors of every route whose method changes something."""

_IDS: Final = {
    "changes.cancel": "cancelJob",
    "changes.delete": "deleteJob",
    "changes.retry": "retryJob",
    "documents.openapi": "getOpenapi",
    "events.events": "streamJobEvents",
    "health.healthz": "getHealth",
    "health.readyz": "getReadiness",
    "jobs.show": "getJob",
    "jobs.submit": "submitJob",
    "listing.jobs": "listJobs",
    "listing.limits": "getLimits",
    "metrics.metrics": "getMetrics",
    "models.default": "getModel",
    "models.index": "listModels",
    "models.version": "getModelVersion",
    "predict.predict": "predict",
    "protocols.infer": "infer",
    "protocols.live": "getServerLive",
    "protocols.metadata": "getModelMetadata",
    "protocols.model_ready": "getModelReady",
    "protocols.predict": "predictV1",
    "protocols.ready": "getServerReady",
    "protocols.server": "getServer",
    "protocols.status": "getModelStatus",
    "results.errors": "getJobErrors",
    "results.results": "getJobResults",
    "webhooks.redeliver": "redeliverWebhook",
}
"""The operation id of each endpoint; generated clients use it as method name."""

_SERVER_RESPONSES: Final = {
    # Sent by gunicorn before the application runs.
    status: {"description": detail, "content": {"text/html": {"schema": {"type": "string"}}}}
    for status, detail in (
        ("414", "The URL is too long."),
        ("431", "The headers are too large."),
    )
}

_INFO: Final = {
    "title": "drybeans",
    "version": "1",
    "description": (
        "Submit rows of measurements, get a job at once, read a label for every row. Every error "
        "is a problem document (RFC 9457) with a stable `code`, including an unexpected 500. "
        "Every response has an `X-Request-ID`."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}


def describe_operation(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    """Yield every rule of `app` that has an operation, with each method and the operation."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is not None:
            for method in _METHODS:
                if method in (rule.methods or ()):
                    yield rule, method, operation


def path_of(rule: Rule) -> str:
    """Return the path of `rule` as an OpenAPI template."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def openapi_document(app: Flask, *, public: frozenset[str], keys: bool) -> dict[str, Any]:
    """Return the OpenAPI document of `app`.

    `public` names the endpoints that need no API key, `keys` is whether the others require one.
    """
    operations = [*describe_operation(app)]
    schemas = _Schemas([operation for _, _, operation in operations])
    paths: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for rule, method, operation in operations:
        guarded = rule.endpoint not in public
        checks = (_GUARDED if guarded else ()) + (() if method in SAFE_METHODS else _UNSAFE)
        summary, _, text = (app.view_functions[rule.endpoint].__doc__ or "").partition("\n")
        paths[path_of(rule)][method.lower()] = {
            "operationId": _name(rule),
            "summary": summary,
            "description": " ".join(text.split()),
            "security": ([{"key": []}] if keys else [{}, {"key": []}]) if guarded else [],
        } | _operation(rule, operation, schemas, checks)
    used = schemas.used_by(paths)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": used,
            "headers": HEADERS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name(rule: Rule) -> str:
    # A route with two paths has two operations, and operation ids must be unique.
    suffix = "Version" if "versions/<version>" in rule.rule else ""
    name: str = rule.endpoint
    return _IDS.get(name, name.partition(".")[2]) + suffix


def _names_in(document: object) -> set[str]:
    return set(re.findall(r"#/components/schemas/(\w+)", orjson.dumps(document).decode()))


class _Schemas:
    """The JSON schemas of all types that some operations use."""

    def __init__(self, operations: list[Operation]) -> None:
        """Generate the schemas of the types of `operations`."""
        self._names: dict[str, tuple[str, str]] = {}
        inputs: list[Any] = []
        for operation in operations:
            contents = [*operation.body]
            for response in operation.responses.values():
                contents += response.content
            inputs += [content.shape for content in contents]
            inputs += [operation.query] if operation.query else []
        shapes = {repr(shape): shape for shape in [Problem, *inputs]}
        self._found, definitions = TypeAdapter.json_schemas(
            [(key, "validation", TypeAdapter(shape)) for key, shape in shapes.items()],
            ref_template=_REFS,
        )
        self.components: dict[str, Any] = definitions.get("$defs", {})

    def of(self, shape: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
        """Return the schema of `shape`, usually a reference."""
        return self._found[repr(shape), "validation"]

    def used_by(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the named schemas that `document` refers to, directly or indirectly."""
        found: dict[str, Any] = {}
        pending = _names_in(document)
        while pending:
            name = pending.pop()
            found[name] = self.components[name]
            pending |= _names_in(found[name]) - found.keys()
        return dict(sorted(found.items()))

    def members(self, shape: type[BaseModel]) -> dict[str, Any]:
        """Return the schema of each member of `shape`."""
        schema = self.of(shape)
        if "$ref" in schema:
            schema = self.components[schema["$ref"].rpartition("/")[2]]
        members: dict[str, Any] = schema["properties"]
        return members


def _operation(
    rule: Rule, operation: Operation, schemas: _Schemas, checks: Errors
) -> dict[str, Any]:
    responses = {
        str(status.value): _response(response, schemas)
        for status, response in operation.responses.items()
    }
    for status, problem in _problems(operation.errors + checks, schemas).items():
        responses[status] = _merge(responses[status], problem) if status in responses else problem
    responses |= _SERVER_RESPONSES
    entry: dict[str, Any] = {
        "tags": [operation.tag],
        "parameters": [*_parameters(rule, operation, schemas)],
        "responses": dict(sorted(responses.items())),
    }
    if operation.body:
        content = {content.kind: _content(content, schemas) for content in operation.body}
        entry["requestBody"] = {"required": True, "content": content}
    return entry


def _parameters(rule: Rule, operation: Operation, schemas: _Schemas) -> Iterator[Mapping[str, Any]]:
    for name in sorted(rule.arguments):
        yield {"name": name, "in": "path", "required": True} | PATH[name]
    for name in operation.headers:
        yield {"name": name, "in": "header"} | REQUEST_HEADERS[name]
    if operation.query is None:
        return
    for name, schema in schemas.members(operation.query).items():
        parameter = {"name": name, "in": "query", "description": schema.get("description", "")}
        plain = _without_null(schema)
        if name == "labels":
            # Each label is a separate parameter, such as label.batch=7.
            names = {"pattern": f"^{re.escape(LABEL_PREFIX)}"}
            plain = {
                "type": "object",
                "propertyNames": names,
                "additionalProperties": label_values(schema),
            }
            # Without an example, tools invent names of labels.
            parameter["example"] = {}
        yield parameter | {"schema": plain} | _STYLES.get(plain.get("type", ""), {})


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema` without null: a parameter is omitted instead of being null."""
    plain = {k: v for k, v in schema.items() if k not in {"description", "title", "anyOf"}}
    if plain.get("default", "") is None:
        del plain["default"]
    if isinstance(plain.get("type"), list):
        (plain["type"],) = (kind for kind in plain["type"] if kind != "null")
    for choice in schema.get("anyOf", ()):
        if choice != {"type": "null"}:
            plain |= choice
    return plain


_STYLES: Final = {
    "array": {"style": "form", "explode": False},
    "object": {"style": "form", "explode": True},
}


def _content(content: Content, schemas: _Schemas) -> dict[str, Any]:
    document: dict[str, Any] = {"schema": schemas.of(content.shape)}
    if content.examples:
        document["examples"] = {name: {"value": v} for name, v in content.examples.items()}
    return document


def _response(response: ResponseSpec, schemas: _Schemas) -> dict[str, Any]:
    document: dict[str, Any] = {
        "description": response.detail,
        "headers": _headers("X-Request-ID", *response.headers),
    }
    if response.content:
        document["content"] = {
            content.kind: _content(content, schemas) for content in response.content
        }
    return document


def _merge(response: dict[str, Any], problem: dict[str, Any]) -> dict[str, Any]:
    """Merge two responses of one status, whose bodies have different media types."""
    return {
        "description": f"{response['description']} {problem['description']}",
        "headers": response["headers"] | problem["headers"],
        "content": response.get("content", {}) | problem["content"],
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problems(errors: Errors, schemas: _Schemas) -> dict[str, Any]:
    """Return a response for each status of `errors`, with its possible problem codes."""
    codes: defaultdict[HTTPStatus, dict[str, str]] = defaultdict(dict)
    headers: defaultdict[HTTPStatus, set[str]] = defaultdict(set)
    for error in errors:
        if issubclass(error, HTTPException):
            status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
            codes[status][http_code(status)] = error.description or status.phrase
            continue
        for each in (error, *error.__subclasses__()):
            codes[STATUS[each]][each.code] = each().detail
            headers[STATUS[each]].update(headers_of(each))
    return {
        str(status.value): _problem(status, details, schemas)
        | {"headers": _headers("X-Request-ID", *sorted(headers[status]))}
        for status, details in codes.items()
    }


def _problem(status: HTTPStatus, details: Mapping[str, str], schemas: _Schemas) -> dict[str, Any]:
    code = {"properties": {"code": {"enum": sorted(details)}}}
    examples: dict[str, Any] = {
        name: {
            "value": {
                "type": "about:blank",
                "title": status.phrase,
                "status": status.value,
                "code": name,
                "detail": detail,
                "errors": [],
            }
        }
        for name, detail in details.items()
    }
    content = {"schema": {"allOf": [schemas.of(Problem), code]}, "examples": examples}
    return {
        "description": f"{status.phrase}: {', '.join(f'`{name}`' for name in sorted(details))}.",
        "content": {"application/problem+json": content},
    }
