"""What many operations share: headers, parameters in paths, examples."""

from typing import Any, Final

BEAN: Final = [
    *(33958.0, 677.1, 253.69, 171.05, 1.48, 0.74, 34241.0, 207.93),
    *(0.82, 0.99, 0.93, 0.82, 0.01, 0.0, 0.67, 1.0),
]
"""The walkthrough's bean, a Dermason."""

CSV_SAMPLE: Final = (
    "Area,Perimeter,MajorAxisLength,MinorAxisLength,AspectRatio,Eccentricity,ConvexArea,"
    "EquivDiameter,Extent,Solidity,roundness,Compactness,ShapeFactor1,ShapeFactor2,ShapeFactor3,"
    f"ShapeFactor4\n{','.join(map(str, BEAN))}\n"
)

_TEXT: Final = {"type": "string"}

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-ID": {
        "description": "The request's own id if it sent one, else a new one; the log has it too.",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
        "required": True,
    },
    "Retry-After": {"description": "Ask again after so many seconds.", "schema": _TEXT},
    "Location": {"description": "Where the job is.", "schema": _TEXT},
    "Preference-Applied": {"description": "How long was waited at most.", "schema": _TEXT},
    "Idempotency-Replayed": {
        "description": "The job was made by an earlier request with this key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {"description": "Stands for this answer, for If-None-Match.", "schema": _TEXT},
    "WWW-Authenticate": {"description": "How to show a key.", "schema": _TEXT},
    "Content-Disposition": {"description": "A name for the file.", "schema": _TEXT},
}

REQUEST_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Prefer": {
        "description": "`wait=N`: wait up to N seconds, 30 at most, for the job to finish.",
        "schema": _TEXT,
        "example": "wait=10",
    },
    "Idempotency-Key": {
        "description": (
            "The same key makes the same job, for 24 hours. A retry may be sent in another way "
            "(compression, form, spelling of JSON) but must have the same options and content."
        ),
        "schema": {"type": "string", "pattern": "^[\\x20-\\x7e]{1,255}$"},
    },
    "If-None-Match": {
        "description": "An ETag: answer 304 if it has not changed.",
        "schema": _TEXT,
    },
    "Content-Encoding": {
        "description": "How a CSV is compressed.",
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
        "description": "The version's number, or an alias of it.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        "example": "2",
    },
}
