"""Validate requests with pydantic and report all errors at once."""

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
    """Validate `document` against `shape`, whose validators receive `context`.

    Raise `RequestInvalid` with all errors; the detail of a single error is that of the request.
    """
    if len(document) > _MAX_MEMBERS:
        raise RequestInvalid(f"{len(document)} members are too many. {_known(shape)}")
    try:
        return shape.model_validate(document, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    errors = tuple(_field_error(each, shape) for each in details)
    many = "The request is invalid; see errors."
    raise RequestInvalid(errors[0].detail if len(errors) == 1 else many, faults=errors)


def validation_error(code: str, detail: str) -> PydanticCustomError:
    """Return the error for a validator to raise, with a stable code and a sentence."""
    return PydanticCustomError(code, "{detail}", {"detail": detail})


def _field_error(error: ErrorDetails, shape: type[BaseModel]) -> FieldError:
    place = error["loc"]
    # Pydantic marks an invalid key of a mapping with an additional last token.
    if len(place) > 1 and place[-1] == _KEY:
        place = place[:-1]
    if error["type"] == "extra_forbidden":
        detail = f"Unknown member {str(place[-1])[:80]!r}. {_known(shape)}"
        return FieldError(pointer=pointer(*place), code="unknown_member", detail=detail)
    message = error["msg"]
    if not message.endswith("."):
        name = ".".join(str(token)[:80] for token in place)
        subject, _, rest = message.partition(" ")
        message = f"{name} {rest}." if subject == "Input" else f"{name}: {message}."
    return FieldError(pointer=pointer(*place), code=error["type"], detail=message)


def _known(shape: type[BaseModel]) -> str:
    return f"Allowed members: {', '.join(sorted(shape.model_fields))}."
