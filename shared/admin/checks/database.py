"""Is the database there, up to date, and set up so that what is committed stays?"""

import re
from collections.abc import Iterator
from typing import Final

from shared.admin.checks.finding import CheckResult, ok, warning, wrong
from shared.admin.command import Stage
from shared.db.migrate import is_current
from shared.db.server_info import Server, describe_driver_errors, read_server
from shared.domain.errors import DatabaseDown

_ABOUT: Final = "database"
_OLDEST: Final = {"mysql": (8, 4), "mariadb": (10, 11), "sqlite": (3, 35)}
_NAMES: Final = {"mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
_BUSY: Final = 0.8


def check_database(stage: Stage) -> Iterator[CheckResult]:
    """Look at the database; what cannot be asked when it is away is left out."""
    try:
        with describe_driver_errors():
            # On a connection that writes: its isolation is the one that counts.
            server = stage.database.write(read_server)
            current = stage.database.read(is_current)
    except DatabaseDown as error:
        cure = "Start it, or mend DRYBEANS_DATABASE_URL (or MYSQL_HOST, MYSQL_USER, …)."
        yield wrong(_ABOUT, error.detail, cure)
        return
    yield from judge(server, chunk_bytes=stage.settings.chunk_bytes)
    if not current:
        yield wrong(_ABOUT, "The tables are not up to date.", "python -m shared.admin migrate")
        return
    yield ok(_ABOUT, "The tables are up to date.")
    try:
        with describe_driver_errors():
            stage.database.ping()
    except DatabaseDown as error:
        yield wrong(_ABOUT, f"It cannot be written. {error.detail}", "Look at disk and rights.")


def judge(server: Server, *, chunk_bytes: int) -> Iterator[CheckResult]:
    """Judge what a server says of itself."""
    yield _version(server)
    if server.kind == "sqlite":
        return
    yield from _durability(server)
    yield from _transactions(server)
    yield _packet(server, chunk_bytes)
    yield _connections(server)


def _version(server: Server) -> CheckResult:
    name = _NAMES[server.kind]
    found = tuple(int(part) for part in re.findall(r"\d+", server.version)[:2])
    oldest = _OLDEST[server.kind]
    if found < oldest:
        needed = ".".join(map(str, oldest))
        return wrong(
            _ABOUT, f"It is {name} {server.version}; {needed} or newer is needed.", "Upgrade it."
        )
    return ok(_ABOUT, f"It is {name} {server.version}.")


def _durability(server: Server) -> Iterator[CheckResult]:
    flush = server.variables.get("innodb_flush_log_at_trx_commit")
    if flush != "1":
        yield wrong(
            _ABOUT,
            f"innodb_flush_log_at_trx_commit is {flush}: a crash may lose jobs that were accepted.",
            "Set it to 1.",
        )
    binlog, sync = server.variables.get("log_bin"), server.variables.get("sync_binlog")
    if binlog == "ON" and sync != "1":
        yield wrong(
            _ABOUT, f"sync_binlog is {sync}: a crash may lose jobs that were accepted.",
            "Set it to 1.",
        )  # fmt: skip
    if flush == "1" and not (binlog == "ON" and sync != "1"):
        yield ok(_ABOUT, "What is committed is on its disk.")


def _transactions(server: Server) -> Iterator[CheckResult]:
    variables = server.variables
    isolation = variables.get("transaction_isolation") or variables.get("tx_isolation")
    if isolation != "READ-COMMITTED":
        yield wrong(
            _ABOUT, f"Transactions run {isolation}, not READ-COMMITTED.",
            "Something between here and the server changes it: a proxy, or init_connect.",
        )  # fmt: skip
    if variables.get("log_bin") == "ON" and variables.get("binlog_format") == "STATEMENT":
        yield wrong(
            _ABOUT, "binlog_format is STATEMENT, with which READ COMMITTED cannot write.",
            "Set it to ROW.",
        )  # fmt: skip
    if server.zone_seconds:
        yield wrong(
            _ABOUT, f"The session's time is {server.zone_seconds} s from UTC.",
            "Something between here and the server changes time_zone: a proxy, or init_connect.",
        )  # fmt: skip
    if variables.get("read_only") == "ON":
        yield warning(_ABOUT, "read_only is ON.", "Point the settings at the primary server.")


def _packet(server: Server, chunk_bytes: int) -> CheckResult:
    most = int(server.variables.get("max_allowed_packet", "0"))
    # A chunk that cannot be compressed, twice as long in SQL, and what stands around it.
    needed = 2 * chunk_bytes + 1024 * 1024
    if most < needed:
        return wrong(
            _ABOUT, f"max_allowed_packet is {most}: a chunk may not fit.",
            f"Set it to {needed} or more, or lower DRYBEANS_CHUNK_BYTES ({chunk_bytes}).",
        )  # fmt: skip
    return ok(_ABOUT, f"max_allowed_packet is {most}, enough for a chunk.")


def _connections(server: Server) -> CheckResult:
    most = int(server.variables.get("max_connections", "0"))
    what = f"{server.connections} of {most} connections are in use."
    if server.connections > most * _BUSY:
        return warning(_ABOUT, what, "Raise max_connections, or lower DRYBEANS_API_CONNECTIONS.")
    return ok(_ABOUT, what)
