"""Checks what a client sent against a model, and tells all that is wrong with it at once."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from api.http.json_body import pointer
from shared.domain.errors import FieldError, RequestInvalid

Shape = TypeVar("Shape", bound=BaseModel)

_MAX_MEMBERS: Final = 200
_KEY: Final = "[key]"


def validate(shape: type[Shape], document: Mapping[str, Any], context: object = None) -> Shape:
    """Read `document` as `shape` says; its validators see `context`.

    Raises `RequestInvalid` with every fault; a single fault speaks for itself.
    """
    if len(document) > _MAX_MEMBERS:
        raise RequestInvalid(f"{len(document)} members or fields are too many. {_known(shape)}")
    try:
        return shape.model_validate(document, context=context)
    except ValidationError as error:
        flaws = error.errors(include_url=False, include_context=False, include_input=False)
    faults = tuple(_fault(flaw, shape) for flaw in flaws)
    many = "The request has mistakes; errors lists them."
    raise RequestInvalid(faults[0].detail if len(faults) == 1 else many, faults=faults)


def validation_error(code: str, detail: str) -> PydanticCustomError:
    """Make what a validator raises: a stable code and a whole sentence."""
    return PydanticCustomError(code, "{detail}", {"detail": detail})


def _fault(flaw: ErrorDetails, shape: type[BaseModel]) -> FieldError:
    # The last token of a wrong key of a mapping is a mark of pydantic's.
    place = flaw["loc"][:-1] if len(flaw["loc"]) > 1 and flaw["loc"][-1] == _KEY else flaw["loc"]
    if flaw["type"] == "extra_forbidden":
        detail = f"There is no {str(place[-1])[:80]!r} here. {_known(shape)}"
        return FieldError(pointer=pointer(*place), code="unknown_member", detail=detail)
    message = flaw["msg"]
    if not message.endswith("."):
        name = ".".join(str(token)[:80] for token in place)
        subject, _, rest = message.partition(" ")
        message = f"{name} {rest}." if subject == "Input" else f"{name}: {message}."
    return FieldError(pointer=pointer(*place), code=flaw["type"], detail=message)


def _known(shape: type[BaseModel]) -> str:
    return f"Known are {', '.join(sorted(shape.model_fields))}."
