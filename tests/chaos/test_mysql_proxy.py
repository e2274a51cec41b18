"""The proxy harms a commit where it is told to, however the commit travels."""

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pymysql
import pytest
from pymysql.constants import CLIENT

from tests.chaos.mysql_proxy import Moment, MySQLProxy, ServerError
from tests.servers import MariaDBServer

Connection: TypeAlias = "pymysql.Connection[pymysql.cursors.Cursor]"
Commit: TypeAlias = Callable[[Connection], None]


@pytest.fixture
def proxy(mortal: MariaDBServer) -> Iterator[MySQLProxy]:
    """A proxy in front of a server with an empty table `marks`."""
    with connect(mortal.port) as direct:
        direct.query("CREATE OR REPLACE TABLE marks (n INT PRIMARY KEY) ENGINE=InnoDB")
    with MySQLProxy(mortal.port) as proxy:
        yield proxy


def connect(port: int) -> Connection:
    """Open a connection that may send several statements in one packet."""
    return pymysql.connect(
        host="127.0.0.1",
        port=port,
        user="drybeans",
        password="drybeans",
        database="drybeans",
        client_flag=CLIENT.MULTI_STATEMENTS,
        ssl_disabled=True,
    )


def marks(server: MariaDBServer) -> list[int]:
    """Read what is committed."""
    with connect(server.port) as direct, direct.cursor() as cursor:
        cursor.execute("SELECT n FROM marks ORDER BY n")
        return [row[0] for row in cursor.fetchall()]


def commit_alone(connection: Connection) -> None:
    """Insert two rows, and commit them in a packet of its own."""
    connection.query("INSERT INTO marks VALUES (1), (2)")
    connection.query("COMMIT")


def commit_pipelined(connection: Connection) -> None:
    """Insert two rows and commit them in one packet."""
    connection.query("INSERT INTO marks VALUES (1);\nINSERT INTO marks VALUES (2);\nCOMMIT")
    while connection.next_result():
        pass


@pytest.mark.parametrize("commit", [commit_alone, commit_pipelined])
@pytest.mark.parametrize(
    "moment, committed",
    [(Moment.BEFORE, []), (Moment.HALFWAY, []), (Moment.AFTER, [1, 2])],
)
def test_a_commit_is_cut_at_its_moment(
    mortal: MariaDBServer, proxy: MySQLProxy, commit: Commit, moment: Moment, committed: list[int]
) -> None:
    """Its client never learns the outcome; whether it happened is up to the moment."""
    connection = connect(proxy.port)
    proxy.cut_commits(1, moment)

    with pytest.raises(pymysql.OperationalError):
        commit(connection)

    assert marks(mortal) == committed
    assert proxy.harmed == 1


@pytest.mark.parametrize("commit", [commit_alone, commit_pipelined])
def test_the_commit_after_the_cut_ones_passes(
    mortal: MariaDBServer, proxy: MySQLProxy, commit: Commit
) -> None:
    """Only as many as were asked for are harmed, and what is no commit is not."""
    proxy.cut_commits(1, Moment.BEFORE)
    with pytest.raises(pymysql.OperationalError):
        commit(connect(proxy.port))

    with connect(proxy.port) as connection:
        commit(connection)

    assert marks(mortal) == [1, 2]


def test_a_statement_is_responded_to_with_the_error_that_was_asked_for(
    mortal: MariaDBServer, proxy: MySQLProxy
) -> None:
    """The server sees nothing of it, and the connection lives on."""
    proxy.fail_statements(b"INSERT INTO marks", ServerError(1114, "The table 'marks' is full"))
    with connect(proxy.port) as connection:
        with pytest.raises(pymysql.OperationalError, match="1114, \"The table 'marks' is full\""):
            commit_pipelined(connection)

        connection.rollback()

    assert marks(mortal) == []


def test_an_error_that_rolls_back_leaves_nothing_of_its_transaction(
    mortal: MariaDBServer, proxy: MySQLProxy
) -> None:
    """What came before it is undone; other statements, and ROLLBACK, pass."""
    error = ServerError(1213, "Deadlock found", "40001", rolls_back=True)
    proxy.fail_matching(re.compile(rb"insert .*\(2\)|ROLLBACK", re.IGNORECASE), error)
    with connect(proxy.port) as connection:
        connection.query("INSERT INTO marks VALUES (1)")
        with pytest.raises(pymysql.OperationalError, match="1213, 'Deadlock found'"):
            connection.query("INSERT INTO marks VALUES (2)")
        connection.commit()
        connection.rollback()
        assert marks(mortal) == []

        proxy.pass_statements()
        commit_alone(connection)

    assert marks(mortal) == [1, 2]
