"""What travels on Redis: messages as Celery reads them, which refer to chunks and hold no rows."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import orjson

from shared.domain.chunks import TraceContext
from shared.domain.jobs import ChunkRef, JobId, Queue

# Frozen: a worker of another release must understand a message, or leave it to the sweep.
RUN_TASK: Final = "drybeans.run.1"
_REQUESTS: Final = "drybeans_requests"
_TRACES: Final = "drybeans_traces"
_SHOWN: Final = 20
_NO_CALLBACKS: Final = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
_NOTHING: Final = dict.fromkeys(
    ("shadow", "eta", "expires", "group", "group_index", "parent_id", "stamped_headers")
)


def encode_message(queue: Queue, chunks: Sequence[tuple[ChunkRef, TraceContext]]) -> bytes:
    """Write the message that has a worker run `chunks`, which came by the trails beside them.

    In Celery's protocol 2, inside of kombu's envelope for Redis: what Celery's own client writes
    at five times the price (docs/adr/0064).
    """
    task_id = str(uuid4())
    arguments = ([(ref.job, ref.seq) for ref, _ in chunks],)
    body = orjson.dumps((arguments, {}, _NO_CALLBACKS))
    return orjson.dumps(
        {
            "body": b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": _headers(task_id, chunks),
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            },
        }
    )


def _headers(task_id: str, chunks: Sequence[tuple[ChunkRef, TraceContext]]) -> dict[str, Any]:
    return {
        **_NOTHING,
        "lang": "py",
        "task": RUN_TASK,
        "id": task_id,
        "root_id": task_id,
        "retries": 0,
        "timelimit": (None, None),
        "argsrepr": _shown([ref for ref, _ in chunks]),
        "kwargsrepr": "{}",
        "origin": "drybeans",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamps": {},
        **_trail_headers(chunks),
    }


def _trail_headers(chunks: Sequence[tuple[ChunkRef, TraceContext]]) -> dict[str, list[str]]:
    """Write the trails of a message's jobs, in the order of its references.

    Beside the message and not in it: a worker may be of another release, and needs none of it.
    """
    trails = {ref.job: trail for ref, trail in chunks}
    return {
        name: values
        for name, values in (
            (_REQUESTS, [trail.request_id for trail in trails.values()]),
            (_TRACES, [trail.traceparent for trail in trails.values()]),
        )
        if any(values)
    }


def is_message(payload: object) -> bool:
    """Return whether `payload` is a message as `encode_message` writes it, of any release.

    Its types are checked, not its references. Celery reads more members than we write, and lets
    one that it does not expect keep a worker from taking further messages.
    """
    match payload:
        case {
            "body": str(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "task": str(task),
                "id": str(),
                "root_id": str(),
                "lang": str(),
                "origin": str(),
                "argsrepr": str(),
                "kwargsrepr": str(),
                "retries": int(),
                "replaced_task_nesting": int(),
                "timelimit": [None, None],
            } as headers,
            "properties": {
                "correlation_id": str(),
                "delivery_tag": str(),
                "delivery_info": {"exchange": str(), "routing_key": str()},
                "body_encoding": "base64",
                "priority": int(),
            },
        }:
            unset = (*_NOTHING, "compression")
            return (
                task == RUN_TASK
                and all(headers.get(name) is None for name in unset)
                and headers.get("stamps") in ({}, None)
            )
    return False


def _shown(refs: Sequence[ChunkRef]) -> str:
    """Write what Flower shows of a message: its first chunks, and how many more."""
    words = [f"{ref.job}/{ref.seq}" for ref in refs[:_SHOWN]]
    more = len(refs) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")


def trace_contexts_of(
    refs: Sequence[ChunkRef], headers: Mapping[str, Any] | None
) -> dict[JobId, TraceContext]:
    """Read the trail of each job of a message; without them, or with wrong ones, there is none."""
    given = headers or {}
    ids = list(dict.fromkeys(ref.job for ref in refs))
    requests, traces = (_texts(given.get(name), len(ids)) for name in (_REQUESTS, _TRACES))
    return {
        job: TraceContext(request_id=request_id, traceparent=traceparent)
        for job, request_id, traceparent in zip(ids, requests, traces, strict=True)
    }


def _texts(values: object, count: int) -> list[str]:
    if isinstance(values, list) and len(values) == count:
        return [value if isinstance(value, str) else "" for value in values]
    return [""] * count


def refs_of(message: Sequence[Sequence[Any]]) -> list[ChunkRef]:
    """Read a message's references back."""
    return [ChunkRef(job=JobId(str(job)), seq=int(seq)) for job, seq in message]
