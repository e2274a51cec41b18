"""The stock design's one table, through SQLAlchemy's ORM."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import JSON, Engine, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of all tables."""


class Job(Base):
    """A job with its input and, once done, its output."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    instances: Mapped[list[Any]] = mapped_column(JSON)
    labels: Mapped[list[str] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    finished_at: Mapped[datetime | None]


def open_engine(url: str) -> Engine:
    """Open the database at `url`; a pool for as many threads as the API has."""
    if url.startswith("sqlite"):
        return create_engine(url, connect_args={"timeout": 30})
    # Without TLS, as drybeans does on loopback: that is not what is to be compared.
    arguments = {"ssl_disabled": True}
    return create_engine(
        url, pool_size=16, pool_pre_ping=True, pool_recycle=1800, connect_args=arguments
    )


def make_tables(url: str) -> None:
    """Make the tables once, before the processes that would all make them at the same time."""
    engine = open_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
