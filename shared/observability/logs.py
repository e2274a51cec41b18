"""Log lines as events with fields: text for people, JSON for machines."""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

import orjson

_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default={})  # noqa: B039 - read only
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """Formats a record's message as the event and its `extra` as fields."""

    def __init__(self, style: Literal["text", "json"]) -> None:
        """Take `style`: text is `time level event key=value …`, json is one object a line."""
        super().__init__()
        self._write = self._json if style == "json" else self._text

    def format(self, record: logging.LogRecord) -> str:
        """Write the record as one line, then the traceback if there is one."""
        fields = dict(_bound.get())
        fields.update((k, v) for k, v in vars(record).items() if k not in _STANDARD)
        return self._write(record, fields)

    def _text(self, record: logging.LogRecord, fields: dict[str, object]) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        words = [time, record.levelname.lower(), _on_one_line(record.getMessage())]
        words += [f"{name}={_on_one_line(value)}" for name, value in fields.items()]
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return " ".join(words) + trace

    def _json(self, record: logging.LogRecord, fields: dict[str, object]) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(event | fields, default=str).decode()


def _on_one_line(value: object) -> str:
    """Write `value` without line ends and other control characters: a client may have sent it."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if text.isprintable() else repr(text)[1:-1]


def bind(**fields: object) -> None:
    """Add `fields`, and no earlier ones, to every event of this thread or request from now on."""
    _bound.set(fields)


def start_logging(level: str, style: Literal["text", "json"]) -> None:
    """Send all logs of this process to standard error, in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(style))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These tell of every message and connection at info.
    for chatty in (
        "kombu",
        "amqp",
        "alembic.runtime",
        "celery.worker.strategy",
        "celery.app.trace",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
