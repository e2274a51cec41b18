"""Components that several operations share: headers, path parameters, examples."""

from typing import Any, Final

BEAN: Final = [
    *(33958.0, 677.1, 253.69, 171.05, 1.48, 0.74, 34241.0, 207.93),
    *(0.82, 0.99, 0.93, 0.82, 0.01, 0.0, 0.67, 1.0),
]
"""The bean of the walkthrough, a Dermason."""

CSV_SAMPLE: Final = (
    "Area,Perimeter,MajorAxisLength,MinorAxisLength,AspectRatio,Eccentricity,ConvexArea,"
    "EquivDiameter,Extent,Solidity,roundness,Compactness,ShapeFactor1,ShapeFactor2,ShapeFactor3,"
    f"ShapeFactor4\n{','.join(map(str, BEAN))}\n"
)

_TEXT: Final = {"type": "string"}

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-ID": {
        "description": "The request id, from the request or generated; it is also in the log.",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
        "required": True,
    },
    "Retry-After": {"description": "Seconds to wait before the next request.", "schema": _TEXT},
    "Location": {"description": "The path of the job.", "schema": _TEXT},
    "Preference-Applied": {"description": "The maximum wait that was applied.", "schema": _TEXT},
    "Idempotency-Replayed": {
        "description": "The job was created by an earlier request with this key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {"description": "The entity tag of this response, for If-None-Match.", "schema": _TEXT},
    "WWW-Authenticate": {"description": "The authentication scheme.", "schema": _TEXT},
    "Content-Disposition": {"description": "The suggested file name.", "schema": _TEXT},
}

REQUEST_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Prefer": {
        "description": "`wait=N`: wait up to N seconds (at most 30) for the job to finish.",
        "schema": _TEXT,
        "example": "wait=10",
    },
    "Idempotency-Key": {
        "description": (
            "Requests with the same key create one job, for 24 hours. A retry may be encoded "
            "differently (compression, form, formatting of JSON) but must have the same options "
            "and content."
        ),
        "schema": {"type": "string", "pattern": "^[\\x20-\\x7e]{1,255}$"},
    },
    "If-None-Match": {
        "description": "An ETag: return 304 if the job has not changed.",
        "schema": _TEXT,
    },
    "Content-Encoding": {
        "description": "The compression of the CSV.",
        "schema": {"type": "string", "enum": ["identity", "gzip", "zstd"]},
    },
}

PATH: Final[dict[str, dict[str, Any]]] = {
    "job_id": {
        "description": "The job's id.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "name": {
        "description": "The model's name.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        "example": "drybeans",
    },
    "version": {
        "description": "The version number or an alias.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        "example": "2",
    },
}
