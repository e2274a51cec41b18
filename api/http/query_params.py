"""Parsing of query parameters."""

from typing import Final

from flask import request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from api.schemas.job_options import LABEL_PREFIX
from api.schemas.validation import Shape, validate, validation_error

_MAX_DIGITS: Final = 18


def _read_digits(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
        raise validation_error(
            "int_type", f"{info.field_name} must be an integer, not {value[:40]!r}."
        )
    return int(value)


DIGITS: Final = BeforeValidator(_read_digits)
"""Parse text as an integer, as strictly as JSON does."""


class Query(BaseModel):
    """Query parameters; the first value of a repeated parameter counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_query(shape: type[Shape]) -> Shape:
    """Parse the query of the current request; `label.<name>` are members of `labels`.

    Raise `RequestInvalid` with all errors.
    """
    document: dict[str, object] = {}
    labels: dict[str, str] = {}
    for name, value in request.args.items():
        if "labels" in shape.model_fields and name.startswith(LABEL_PREFIX):
            labels[name.removeprefix(LABEL_PREFIX)] = value
        else:
            document[name] = value
    return validate(shape, document | ({"labels": labels} if labels else {}))
