"""A TCP proxy that harms connections on request: cuts, freezes, refuses."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

from tests.servers import free_port

_PIECE: Final = 64 * 1024


class Link:
    """One connection through the proxy: the client's side and the server's."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None

    def cut(self) -> None:
        """End both sides at once, as a pulled cable or a dead process does."""
        for writer in (self.client, self.server):
            if writer is not None:
                writer.transport.abort()


class Proxy:
    """Passes `port` on to `target` on 127.0.0.1, from a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.harmed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links: set[Link] = set()
        self._flowing = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._halves = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing.set()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Cut every connection now."""
        self._call(self._cut)

    def freeze(self) -> None:
        """Let nothing through, in either direction, while connections stay open."""
        self._call(self._flowing.clear)

    def thaw(self) -> None:
        """Let what was held back, and all else, through again."""
        self._call(self._flowing.set)

    def refuse(self) -> None:
        """Cut every connection and take no new one: as when the server is gone."""
        self._do(self._close())

    def accept(self) -> None:
        """Take connections again."""
        self._do(self._listen())

    def cut_statements(self, count: int) -> None:
        """Cut the next `count` statements in their middle: the server gets half of the bytes."""
        self._halves = count

    def heal(self) -> None:
        """Harm nothing any more."""
        self._halves = 0
        self.thaw()
        self.accept()

    def _call(self, work: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(work)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _cut(self) -> None:
        self.harmed += len(self._links)
        for link in list(self._links):
            link.cut()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._cut()

    async def _end(self) -> None:
        await self._close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # What was cut is closed by the loop's next rounds.
        await asyncio.sleep(0.1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(writer)
        self._links.add(link)
        try:
            await self._flowing.wait()
            answers, link.server = await asyncio.open_connection("127.0.0.1", self.target)
            ways = [self._asks(reader, link), self._answers(answers, link)]
            _, rest = await asyncio.wait(
                [asyncio.ensure_future(way) for way in ways],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for way in rest:
                way.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            # Nobody waits for this task: it ends here, whatever ended it.
            pass
        finally:
            link.cut()
            self._links.discard(link)

    async def _asks(self, reader: asyncio.StreamReader, link: Link) -> None:
        assert link.server is not None
        while data := await read_piece(reader):
            await self._flowing.wait()
            if self._halves > 0 and len(data) > 1:
                self._halves -= 1
                self.harmed += 1
                link.server.write(data[: len(data) // 2])
                await drain(link.server)
                return
            link.server.write(data)
            await drain(link.server)

    async def _answers(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await read_piece(reader):
            await self._flowing.wait()
            link.client.write(data)
            await drain(link.client)


async def read_piece(reader: asyncio.StreamReader) -> bytes:
    """Return the next bytes, none at the end of the connection."""
    try:
        return await reader.read(_PIECE)
    except OSError:
        return b""


async def drain(writer: asyncio.StreamWriter) -> None:
    """Wait until the peer has taken what was written, or abort its connection."""
    try:
        await writer.drain()
    except OSError:
        writer.transport.abort()
