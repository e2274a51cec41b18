"""Reads the query of a request."""

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
            "int_type", f"{info.field_name} must be a whole number; {value[:40]!r} is none."
        )
    return int(value)


DIGITS: Final = BeforeValidator(_read_digits)
"""Reads text as a whole number, as strictly as JSON would have it."""


class Query(BaseModel):
    """What may stand in a query; of what is given twice the first counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_query(shape: type[Shape]) -> Shape:
    """Read the present request's query, in which `label.<name>` are members of `labels`.

    Raises `RequestInvalid` with every fault.
    """
    document: dict[str, object] = {}
    labels: dict[str, str] = {}
    for name, value in request.args.items():
        if "labels" in shape.model_fields and name.startswith(LABEL_PREFIX):
            labels[name.removeprefix(LABEL_PREFIX)] = value
        else:
            document[name] = value
    return validate(shape, document | ({"labels": labels} if labels else {}))
