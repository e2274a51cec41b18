"""What a database server says of itself."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from shared.domain.errors import DatabaseDown

_VARIABLES: Final = (
    "binlog_format", "innodb_flush_log_at_trx_commit", "log_bin", "max_allowed_packet",
    "max_connections", "read_only", "sync_binlog", "transaction_isolation", "tx_isolation",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A database server: `kind` is sqlite, mysql or mariadb; SQLite has no `variables`."""

    kind: str
    version: str
    variables: Mapping[str, str]
    connections: int = 0
    zone_seconds: int = 0
    """How far the session's time is from UTC."""


@contextmanager
def describe_driver_errors() -> Iterator[None]:
    """Turn every error of a driver into `DatabaseDown` in the driver's own words.

    They name server, user and reason, and never the password.
    """
    try:
        yield
    except DBAPIError as error:
        raise DatabaseDown(f"The database refuses: {_words(error)}.") from error
    except DatabaseDown as error:
        cause = error.__cause__
        if not isinstance(cause, DBAPIError):
            raise
        raise DatabaseDown(f"The database does not answer: {_words(cause)}.") from error


def _words(error: DBAPIError) -> str:
    words = error.orig.args[-1] if error.orig is not None and error.orig.args else error
    return str(words).rstrip(".")


def read_server(connection: Connection) -> Server:
    """Ask the server; the session's own settings are those of a connection that writes."""
    kind = connection.dialect.name
    if kind == "sqlite":
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        return Server(kind=kind, version=str(version), variables={})
    version = str(connection.exec_driver_sql("SELECT VERSION()").scalar_one())
    named = ", ".join(f"'{name}'" for name in _VARIABLES)
    rows = connection.execute(text(f"SHOW VARIABLES WHERE Variable_name IN ({named})"))
    status = connection.execute(text("SHOW STATUS LIKE 'Threads_connected'")).one()
    zone = connection.execute(text("SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())"))
    return Server(
        kind="mariadb" if "mariadb" in version.lower() else kind,
        version=version,
        variables={name.lower(): value for name, value in rows},
        connections=int(status[1]),
        zone_seconds=int(zone.scalar_one()),
    )
