"""JSON responses."""

from http import HTTPStatus
from typing import Any

import orjson
from flask import Response


def json_response(
    document: Any,  # noqa: ANN401 - whatever orjson writes
    status: HTTPStatus = HTTPStatus.OK,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return `document` as a JSON response; datetimes are RFC 3339 in UTC."""
    body = orjson.dumps(document, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, content_type="application/json")
