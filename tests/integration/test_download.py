"""The data set is fetched over HTTP, and kept only when it is the right one."""

import dataclasses
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from worker.training.__main__ import main
from worker.training.source import Source, contents_hash, download
from worker.training.table import Column, TableRefused, read_table

COLUMNS = (Column(name="Area"), Column(name="AspectRation", aliases=("AspectRatio",)))
CONTENT = b"Area,AspectRatio,Class\n20,1.5,SIRA\n30,1.25,CALI\n"


@pytest.fixture
def site() -> Iterator[str]:
    """The address of a web site that has CONTENT at /data.csv, and little else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bodies = {"/data.csv": CONTENT, "/other.csv": CONTENT.replace(b"20", b"21")}
            body = bodies.get(self.path, b"<html>Sign in</html>")
            self.send_response(404 if self.path == "/gone" else 200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def source(site: str, tmp_path: Path) -> Source:
    """A data set of two rows, published on the site."""
    path = tmp_path / "known.csv"
    path.write_bytes(CONTENT)
    blank = Source(
        url=f"{site}/data.csv",
        citation="",
        columns=COLUMNS,
        label="Class",
        exact=(("Area", 0),),
        contents="",
    )
    table = read_table(path, COLUMNS, "Class")
    return dataclasses.replace(blank, contents=contents_hash(blank, table))


def test_the_published_file_is_fetched_and_kept(source: Source, tmp_path: Path) -> None:
    """What arrives is read, proven, and left on disk for the next time."""
    path = tmp_path / "var" / "beans.csv"

    table = download(source, path)

    assert table.labels.tolist() == ["SIRA", "CALI"]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "page, why",
    [
        ("/other.csv", "is not the published data set"),
        ("/sign-in", "is not the data set: .* has no rows"),
        ("/gone", "cannot be fetched .*404"),
    ],
)
def test_anything_else_is_refused_and_not_kept(
    source: Source, tmp_path: Path, page: str, why: str
) -> None:
    """A changed file, a sign-in page and an error page leave nothing behind."""
    path = tmp_path / "var" / "beans.csv"
    url = source.url.replace("/data.csv", page)

    with pytest.raises(TableRefused, match=why):
        download(source, path, url=url)

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/x", "beans.csv"])
def test_only_web_addresses_are_fetched(source: Source, tmp_path: Path, url: str) -> None:
    """A local file is what --data is for."""
    with pytest.raises(TableRefused, match="not a web address"):
        download(source, tmp_path / "beans.csv", url=url)


def test_without_a_network_the_command_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens on that port, as for a machine without a network."""
    monkeypatch.chdir(tmp_path)

    status = main(["--download", "--url", "http://127.0.0.1:9/data.csv"])

    assert status == 1
    assert "cannot be fetched" in (error := capsys.readouterr().err)
    assert "--data PATH" in error
