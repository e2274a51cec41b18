"""Column types and the database's clock, the same on SQLite, MySQL and MariaDB."""

from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import JSON, DateTime, Dialect, Float, LargeBinary, Row, String, literal
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""A row of a query whose columns are told by name."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant to the microsecond: aware UTC in Python, a zoneless UTC DATETIME(6) in SQL."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        """Ask MySQL and MariaDB for microseconds; without this they keep whole seconds."""
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Drop the zone, which must be there: a naive datetime is a bug."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a datetime without a zone cannot be stored"
            raise ValueError(message)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


class now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's own clock plus some seconds: the only clock that leases are measured by."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, plus: float | ColumnElement[Any] = 0.0) -> None:
        """Take `plus`: seconds to add, a number or a column."""
        seconds = plus if isinstance(plus, ColumnElement) else literal(float(plus), Float())
        super().__init__(seconds)


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _now_mysql(element: now, compiler: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's signature
    seconds = compiler.process(element.clauses, **options)
    return f"TIMESTAMPADD(MICROSECOND, ROUND(({seconds}) * 1000000), UTC_TIMESTAMP(6))"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's signature
    seconds = compiler.process(element.clauses, **options)
    # SQLite's clock gives milliseconds; the zeros make the text comparable with stored instants.
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', ({seconds}) || ' seconds') || '000')"


def ascii_text(length: int, *, fixed: bool = False) -> TypeEngine[str]:
    """Return a type for names of our own making, compared byte by byte."""
    kind = mysql.CHAR if fixed else mysql.VARCHAR
    return String(length).with_variant(
        kind(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def blob() -> TypeEngine[bytes]:
    """Return a type for up to 4 GiB of bytes."""
    return LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")


def document() -> JSON:
    """Return a JSON type in which None is SQL's NULL."""
    return JSON(none_as_null=True)
