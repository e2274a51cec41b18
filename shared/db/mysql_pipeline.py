"""Statements that travel to MySQL together: a round trip costs more than most statements.

A statement that nobody waits for is held, and goes in one packet with the next one, or with the
COMMIT. The server runs a packet in order and stops at the first statement that fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pymysql.connections import Connection as DriverConnection
from pymysql.constants import CLIENT, SERVER_STATUS
from pymysql.cursors import Cursor
from sqlalchemy import Connection, Engine, Executable, event

# Far below the smallest limit of a server on a packet.
_MAX_BYTES: Final = 1_000_000
_BETWEEN: Final = b";\n"

# Fails with 1690, a number out of range (`ErrorKind.STALE_ROWS`), so that the server goes no
# further. In a SET: MariaDB overlooks what goes wrong in a DO.
_GUARD: Final = b"SET @drybeans_guard = IF(ROW_COUNT() = %d, 0, EXP(710))"


class StaleRows(Exception):
    """A statement touched other rows than it had to, and its transaction was undone."""


class PipelineCursor(Cursor):  # type: ignore[misc]
    """Sends what is held with the next statement, and long values as they are."""

    def execute(self, query: str | bytes | bytearray, args: object = None) -> int:
        """Run `query` with the values `args` in place of each %(name)s."""
        if isinstance(query, str) and isinstance(args, dict):
            values = {name.encode(): self._literal(value) for name, value in args.items()}
            query, args = query.encode() % values, None
        return int(super().execute(query, args))

    def _literal(self, value: object) -> bytes:
        # PyMySQL writes bytes as hex digits, which are twice as many and which the server converts
        # one by one, and looks every character up in a table. In UTF-8, which all connections use,
        # no byte of a longer character is a quote or a backslash.
        if isinstance(value, bytes):
            return b"_binary" + self._quoted(value)
        if isinstance(value, str):
            return self._quoted(value.encode())
        return str(self.connection.escape(value)).encode()

    def _quoted(self, text: bytes) -> bytes:
        if not self.connection.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            text = text.replace(b"\\", b"\\\\")
        return b"'" + text.replace(b"'", b"''") + b"'"

    def _query(self, query: str | bytes | bytearray) -> int:
        driver = self.connection
        text = query.encode(driver.encoding, "surrogateescape") if isinstance(query, str) else query
        if driver.pipelining and sum(map(len, driver.pending)) + len(text) < _MAX_BYTES:
            driver.pending.append(text)
            return 0
        held, driver.pending = driver.pending, []
        super()._query(_BETWEEN.join([*held, text]))
        for _ in held:
            self.nextset()
        return int(self.rowcount)


class PipelineConnection(DriverConnection):  # type: ignore[misc]
    """A connection that can hold statements."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - PyMySQL's own
        """Connect."""
        self.pipelining = False
        self.pending: list[bytes | bytearray] = []
        super().__init__(*args, **options)

    def commit(self) -> None:
        """Commit, with what is still held."""
        held, self.pending = self.pending, []
        if not held:
            super().commit()
            return
        self.query(_BETWEEN.join([*held, b"COMMIT"]))
        for _ in held:
            self.next_result()

    def rollback(self) -> None:
        """Forget what is held, and roll back."""
        self.pending.clear()
        super().rollback()


def enable_pipelining(engine: Engine) -> None:
    """Have connections of `engine`, which is for MySQL, send packets."""

    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, args: list[Any], options: dict[str, Any]
    ) -> PipelineConnection:
        flags = options.pop("client_flag", 0) | CLIENT.MULTI_STATEMENTS
        return PipelineConnection(*args, client_flag=flags, cursorclass=PipelineCursor, **options)

    @event.listens_for(engine, "connect")
    def prepare(driver: PipelineConnection, _record: object) -> None:
        # The server need not look for characters of more than one byte; text is still UTF-8, which
        # `character_set_connection` says.
        driver.query("SET SESSION character_set_client = binary")


def execute_expecting(
    connection: Connection, statement: Executable, parameters: dict[str, Any], *, rows: int
) -> None:
    """Run `statement`, which must touch just `rows` rows: else `StaleRows` undoes the transaction.

    Where the statement is held, so is the look at its rows: whoever runs the transaction learns it.
    """
    touched = connection.execute(statement, parameters).rowcount
    driver = connection.connection.driver_connection
    if isinstance(driver, PipelineConnection) and driver.pipelining:
        driver.pending.append(_GUARD % rows)
    elif touched != rows:
        raise StaleRows


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Hold the statements of the block, of which none gives rows, until the next one or COMMIT.

    How many rows they touched is not known, and what they raise is raised by the one that they
    go with. A database that knows no packets runs them at once.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, PipelineConnection):
        yield
        return
    driver.pipelining = True
    try:
        yield
    finally:
        driver.pipelining = False
