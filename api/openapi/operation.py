"""What a route says of itself: what it takes, what it answers, and with which errors."""

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
"""The errors of every route that looks for a job."""

_ATTRIBUTE: Final = "__operation__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body of one media type: its type, and an example of it."""

    shape: Any = str
    kind: str = JSON
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSpec:
    """What a status means, what comes with it, and which headers may."""

    detail: str
    content: tuple[Content, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a route says of itself; its summary is its docstring's first line."""

    tag: str
    responses: Mapping[HTTPStatus, ResponseSpec]
    errors: Errors = ()
    query: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    body: tuple[Content, ...] = ()

    def __call__(self, route: Route) -> Route:
        """Write this on `route`."""
        setattr(route, _ATTRIBUTE, self)
        return route


def operation_of(route: Callable[..., Any]) -> Operation | None:
    """Return what `route` says of itself, or None when it says nothing."""
    operation: Operation | None = getattr(route, _ATTRIBUTE, None)
    return operation


def ok(shape: Any, *headers: str, **examples: Any) -> dict[HTTPStatus, ResponseSpec]:  # noqa: ANN401 - a type
    """Answer 200 with JSON of type `shape`."""
    content = Content(shape=shape, examples=examples)
    return {HTTPStatus.OK: ResponseSpec(detail="Here it is.", content=(content,), headers=headers)}
