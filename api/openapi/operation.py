"""Metadata of routes for OpenAPI: parameters, bodies, responses and errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from werkzeug.exceptions import HTTPException

from shared.domain.errors import DatabaseDown, DryBeansError, JobDeleted, JobNotFound

JSON: Final = "application/json"
CSV: Final = "text/csv"
Errors = tuple[type[DryBeansError] | type[HTTPException], ...]
Route = TypeVar("Route", bound=Callable[..., Any])

FIND: Final[Errors] = (JobNotFound, JobDeleted, DatabaseDown)
"""The errors of every route that finds a job by id."""

_ATTRIBUTE: Final = "__operation__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body of one media type: its Python type and examples."""

    shape: Any = str
    kind: str = JSON
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSpec:
    """A response: its description, bodies and possible headers."""

    detail: str
    content: tuple[Content, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The OpenAPI operation of a route; the route's docstring is its summary and description."""

    tag: str
    responses: Mapping[HTTPStatus, ResponseSpec]
    errors: Errors = ()
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    body: tuple[Content, ...] = ()

    def __call__(self, route: Route) -> Route:
        """Attach this operation to `route`."""
        setattr(route, _ATTRIBUTE, self)
        return route


def operation_of(route: Callable[..., Any]) -> Operation | None:
    """Return the operation of `route`, None if it has none."""
    operation: Operation | None = getattr(route, _ATTRIBUTE, None)
    return operation


def ok(shape: Any, *headers: str, **examples: Any) -> dict[HTTPStatus, ResponseSpec]:  # noqa: ANN401 - a type
    """Describe a 200 response with JSON of type `shape`."""
    content = Content(shape=shape, examples=examples)
    spec = ResponseSpec(detail="Successful response.", content=(content,), headers=headers)
    return {HTTPStatus.OK: spec}
