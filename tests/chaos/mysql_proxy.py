"""A proxy that understands MySQL's packets: it harms commits and replaces responses by errors.

A commit is a packet that is COMMIT after one that changed something, or a pipeline of statements
that ends in it. (SQLAlchemy sends a COMMIT of nothing on each new connection.)
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from tests.chaos.proxy import Link, Proxy, drain, read_piece

_HEADER: Final = 4
_QUERY: Final = 3
_COMMIT: Final = b"COMMIT"
_ROLLBACK: Final = b"ROLLBACK"
_SEPARATOR: Final = b";\n"
_CHANGES: Final = (b"INSERT", b"UPDATE", b"DELETE")
_OK: Final = 0x00
_ERROR: Final = 0xFF
_MORE_RESULTS: Final = 0x0008


class Moment(Enum):
    """When a connection is cut, seen from the commit that it carries."""

    BEFORE = auto()
    """The server receives nothing of it."""
    HALFWAY = auto()
    """The server receives half of it."""
    DURING = auto()
    """The server receives all of it and its connection ends at once."""
    AFTER = auto()
    """The server has run all of it; the client receives none of its response."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error as a server sends it."""

    code: int
    message: str = "made up by the proxy"
    state: str = "HY000"
    rolls_back: bool = False
    """Whether the server rolls the transaction back before it responds."""

    def packet(self, sequence: int) -> bytes:
        """Return the packet that reports it."""
        head = bytes([_ERROR]) + self.code.to_bytes(2, "little")
        payload = head + b"#" + self.state.encode() + self.message.encode()
        return len(payload).to_bytes(3, "little") + bytes([sequence]) + payload


class MySQLProxy(Proxy):
    """Passes MySQL's protocol on; connections must not be encrypted."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.queries = 0
        """How many packets with statements came: one a round trip."""
        self._commits = 0
        self._moment = Moment.AFTER
        self._refused: dict[re.Pattern[bytes], ServerError] = {}
        self._silenced: set[Link] = set()
        self._changed: set[Link] = set()
        self._replaced: dict[Link, ServerError] = {}

    def cut_commits(self, count: int, moment: Moment) -> None:
        """Cut the connections of the next `count` commits at `moment`."""
        self._commits, self._moment = count, moment

    def lose_commit_answers(self, count: int) -> None:
        """Let the next `count` commits happen, and cut before the client hears of it."""
        self.cut_commits(count, Moment.AFTER)

    def fail_statements(self, part: bytes, error: ServerError) -> None:
        """Respond with `error` to every query that contains `part`; the server sees none of it."""
        self.fail_matching(re.compile(re.escape(part)), error)

    def fail_matching(self, pattern: re.Pattern[bytes], error: ServerError) -> None:
        """Respond with `error` to every query in which `pattern` is found, but to no ROLLBACK."""
        self._refused[pattern] = error

    def pass_statements(self) -> None:
        """Respond to no query with an error any more."""
        self._refused.clear()

    def heal(self) -> None:
        """Harm nothing any more."""
        self._commits = 0
        self._refused.clear()
        super().heal()

    async def _asks(self, reader: asyncio.StreamReader, link: Link) -> None:
        assert link.server is not None
        async for packet in _packets(reader):
            await self._flowing.wait()
            if error := self._error_for(packet):
                self.harmed += 1
                await self._fail(error, link)
                continue
            if self._halves > 0:
                self._halves -= 1
                await self._send_half(packet, link)
                return
            if self._is_commit(packet, link) and self._commits > 0:
                self._commits -= 1
                if await self._harm_commit(packet, link):
                    return
                continue
            link.server.write(packet)
            await drain(link.server)

    def _is_commit(self, packet: bytes, link: Link) -> bool:
        if ends_in_commit(packet):
            alone = len(packet) == _HEADER + 1 + len(_COMMIT)
            return not alone or link in self._changed
        if _is_query(packet) and packet[_HEADER + 1 :].startswith(_CHANGES):
            self._changed.add(link)
        return False

    def _error_for(self, packet: bytes) -> ServerError | None:
        if not _is_query(packet):
            return None
        self.queries += 1
        text = packet[_HEADER + 1 :]
        if text == _ROLLBACK:
            return None
        return next((error for part, error in self._refused.items() if part.search(text)), None)

    async def _fail(self, error: ServerError, link: Link) -> None:
        assert link.server is not None
        if error.rolls_back:
            self._replaced[link] = error
            link.server.write(_query(_ROLLBACK))
            await drain(link.server)
        else:
            link.client.write(error.packet(1))
            await drain(link.client)

    async def _send_half(self, packet: bytes, link: Link) -> None:
        assert link.server is not None
        self.harmed += 1
        link.server.write(packet[: len(packet) // 2])
        await drain(link.server)

    async def _harm_commit(self, packet: bytes, link: Link) -> bool:
        """Harm a commit, and return whether its connection ends now."""
        assert link.server is not None
        match self._moment:
            case Moment.BEFORE:
                self.harmed += 1
                return True
            case Moment.HALFWAY:
                await self._send_half(packet, link)
                return True
            case Moment.DURING:
                self.harmed += 1
                link.server.write(packet)
                await drain(link.server)
                # In order, so that the server reads all of it before it sees the end.
                link.server.write_eof()
                return True
            case Moment.AFTER:
                self._silenced.add(link)
                link.server.write(packet)
                await drain(link.server)
                return False

    async def _answers(self, reader: asyncio.StreamReader, link: Link) -> None:
        response = b""
        while data := await read_piece(reader):
            await self._flowing.wait()
            if link in self._silenced:
                response += data
                if _is_complete(response):
                    self.harmed += 1
                    self._silenced.discard(link)
                    return
                continue
            if error := self._replaced.pop(link, None):
                data = error.packet(1)
            link.client.write(data)
            await drain(link.client)


async def _packets(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole packets; the end of the connection ends them, whatever came of the next one."""
    while True:
        try:
            header = await reader.readexactly(_HEADER)
            yield header + await reader.readexactly(int.from_bytes(header[:3], "little"))
        except (asyncio.IncompleteReadError, OSError):
            return


def _query(text: bytes) -> bytes:
    payload = bytes([_QUERY]) + text
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def _is_query(packet: bytes) -> bool:
    return len(packet) > _HEADER and packet[3] == 0 and packet[_HEADER] == _QUERY


def ends_in_commit(packet: bytes) -> bool:
    """Return whether `packet` is a commit, alone or at the end of a pipeline."""
    text = packet[_HEADER + 1 :]
    return _is_query(packet) and (text == _COMMIT or text.endswith(_SEPARATOR + _COMMIT))


def _is_complete(response: bytes) -> bool:
    """Return whether `response`, to a pipeline without result sets, has come to its last packet."""
    at = 0
    while at + _HEADER < len(response):
        end = at + _HEADER + int.from_bytes(response[at : at + 3], "little")
        if end > len(response):
            return False
        payload = response[at + _HEADER : end]
        if payload[0] == _ERROR or not _status(payload) & _MORE_RESULTS:
            return True
        at = end
    return False


def _status(payload: bytes) -> int:
    """Return the status flags of an OK packet; two numbers of variable length precede them."""
    assert payload[0] == _OK
    at = 1
    for _ in range(2):
        at += 1 + {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(payload[at], 0)
    return int.from_bytes(payload[at : at + 2], "little")
