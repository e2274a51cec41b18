"""A receiver of webhooks that takes its time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class DelayedReceiver:
    """Where it listens, and how many requests it has got and answered."""

    url: str = ""
    requests: int = 0
    answered: int = 0


@contextmanager
def delayed_receiver(seconds: float) -> Iterator[DelayedReceiver]:
    """Run a receiver that answers each request with 204 after `seconds`."""
    receiver = DelayedReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.requests += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(seconds)
            with suppress(OSError):
                self.send_response(204)
                self.end_headers()
            receiver.answered += 1

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
