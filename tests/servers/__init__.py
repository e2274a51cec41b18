"""Real servers for tests: each lives in a folder of its own, on a free loopback port, by pid."""

from tests.servers.mariadb import MariaDBServer
from tests.servers.mysql import MySQLServer
from tests.servers.process import Server, ServerFailed, ServerMissing, free_port
from tests.servers.redis import RedisServer

__all__ = [
    "MariaDBServer",
    "MySQLServer",
    "RedisServer",
    "Server",
    "ServerFailed",
    "ServerMissing",
    "free_port",
]
