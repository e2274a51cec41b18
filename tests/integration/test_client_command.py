"""The `drybeans` command against the real API as a process, with a real worker behind it."""

import gzip
import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.jobs import Queue
from shared.zstd import compress
from tests.api_process import ApiProcess
from tests.chaos.proxy import Proxy
from tests.client_command import Stage
from tests.servers.schema import SqliteSchema
from tests.service import Service
from tests.waiting import wait_for
from tests.working import BEAN, working
from worker.models.loader import ModelLoader

HEADER = (
    "Area,Perimeter,MajorAxisLength,MinorAxisLength,AspectRation,Eccentricity,ConvexArea,"
    "EquivDiameter,Extent,Solidity,roundness,Compactness,"
    "ShapeFactor1,ShapeFactor2,ShapeFactor3,ShapeFactor4"
)
GOOD = ",".join(map(str, BEAN))
MIXED = "\n".join([HEADER, GOOD, GOOD.replace("677.1", ""), GOOD.replace("0.74", "x"), GOOD, "1,2"])


SetUp = Callable[..., Stage]


@pytest.fixture(scope="module")
def set_up(
    shared_redis: str, sqlite_schema: SqliteSchema, models: ModelLoader, server_folder: Path
) -> Iterator[SetUp]:
    """Starts an API with further settings, on a database of its own; no worker takes its jobs."""
    with ExitStack() as running:

        def start(**settings: str) -> Stage:
            folder = server_folder / f"client-{os.urandom(4).hex()}"
            folder.mkdir()
            database = sqlite_schema.copy_to(folder)
            given = {"DRYBEANS_DATABASE_URL": database, "DRYBEANS_REDIS_URL": shared_redis}
            api = running.enter_context(ApiProcess(folder / "api", given | settings))
            behind = Service(database, shared_redis, models=models)
            running.callback(behind.stop)
            stage = Stage(api, behind, folder)
            running.callback(stage.stop)
            return stage

        yield start


@pytest.fixture(scope="module")
def shared_stage(set_up: SetUp) -> Stage:
    """An API that all tests share which do not break it."""
    return set_up()


@pytest.fixture
def stage(shared_stage: Stage, redis_url: str, tmp_path: Path) -> Stage:
    """The API without a worker, an empty Redis, and a folder of the test's own."""
    assert redis_url
    return replace(shared_stage, folder=tmp_path)


def test_a_file_with_bad_rows_comes_back_with_labels_and_reasons(stage: Stage) -> None:
    """Exit code 1; the labels are in the file, and each reason is shown."""
    name = stage.file("beans.csv", MIXED)

    with working(stage.behind):
        run = stage.run("submit", name, "-o", "out.csv", "--label", "batch=7")

    assert run.code == 1
    lines = (stage.folder / "out.csv").read_text().splitlines()
    assert lines[0] == "row,line,label,error"
    assert [line.split(",")[2] for line in lines[1:]] == ["DERMASON", "", "", "DERMASON", ""]
    assert "2 of 5 rows have a label, 3 failed" in run.said
    assert "line 3, Perimeter: The value is missing. (missing)" in run.said
    assert "line 4, Eccentricity: 'x' is not a number" in run.said
    assert "line 6" in run.said
    assert "(too_few_fields)" in run.said
    assert "out.csv" in run.said
    assert "again" not in run.said
    assert "instead" not in run.said
    assert stage.jobs()[0]["labels"] == {"batch": "7"}


def test_rows_can_be_checked_without_a_job(stage: Stage) -> None:
    """Told as they would fail, by exit code too; for machines as the service says it."""
    name = stage.file("beans.csv", MIXED)
    before = len(stage.jobs())

    run = stage.run("submit", name, "--check")
    told = stage.run("submit", "-", "--check", "--json", given=json.dumps([BEAN, []]).encode())

    assert run.code == told.code == 1
    assert run.out.startswith("2 of 5 rows can be used by drybeans@2.\n")
    assert "line 3, Perimeter: The value is missing. (missing)" in run.out
    assert [error["row"] for error in json.loads(told.out)["errors"]] == [1]
    assert stage.run("submit", stage.file("good.csv", f"{HEADER}\n{GOOD}"), "--check").code == 0
    assert stage.run("submit", name, "--check", "-o", "out.csv").code == 64
    assert len(stage.jobs()) == before


def test_the_failed_rows_can_be_mended_and_sent_again(stage: Stage) -> None:
    """`errors` writes them with their own columns, `results` all in three formats."""
    with working(stage.behind):
        job = stage.run("submit", stage.file("beans.csv", MIXED)).out.strip()
        assert stage.run("watch", job).code == 1
        assert stage.run("errors", job, "-o", "bad.csv").code == 1
        table = (stage.folder / "bad.csv").read_text().splitlines()[:2]
        assert table[1].startswith("3,missing,Perimeter,The value is missing.,33958.0,,253.69")
        stage.file("mended.csv", "\n".join(table).replace(",,", ",677.1,"))
        assert stage.run("submit", "mended.csv", "--wait").code == 0

    assert stage.run("results", job).out.startswith("row,line,label,error\r\n")
    rows = [json.loads(line) for line in stage.run("results", job, "--json").out.splitlines()]
    stage.run("results", job, "-o", "out.json")
    assert json.loads((stage.folder / "out.json").read_text()) == rows
    assert [row.get("label") for row in rows] == ["DERMASON", None, None, "DERMASON", None]
    errors = [json.loads(line) for line in stage.run("errors", job, "--json").out.splitlines()]
    assert [error["line"] for error in errors] == [3, 4, 6]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(MIXED.encode(), id="plain"),
        pytest.param(gzip.compress(MIXED.encode()), id="gzip"),
        pytest.param(compress(MIXED.encode()), id="zstd"),
        pytest.param(json.dumps([BEAN, [], BEAN]).encode(), id="json"),
    ],
)
def test_what_comes_on_standard_input_is_known_by_its_first_bytes(
    stage: Stage, given: bytes
) -> None:
    """Plain, compressed or JSON; `-o -` writes the results to standard output."""
    with working(stage.behind):
        run = stage.run("submit", "-", "-o", "-", "--format", "ndjson", given=given)

    assert run.code == 1, run.said
    labels = [json.loads(line).get("label") for line in run.out.splitlines()]
    assert labels.count("DERMASON") == 2


def test_ctrl_c_says_how_to_go_on(stage: Stage) -> None:
    """The job goes on; the command that is printed gets its results."""
    waiting = stage.begin("submit", stage.file("beans.csv", MIXED), "-o", "out.ndjson")
    waiting.wait_for("queued")
    run = waiting.interrupt()

    assert run.code == 130
    assert "goes on by itself" in run.said
    assert not (stage.folder / "out.ndjson").exists()
    program, *words = shlex.split(run.said.strip().splitlines()[-1])
    assert program == "drybeans"
    with working(stage.behind):
        assert stage.run(*words).code == 1
    assert len((stage.folder / "out.ndjson").read_text().splitlines()) == 5


def test_watching_survives_a_restart_of_the_service(set_up: SetUp, redis_url: str) -> None:
    """It connects again and ends when the job does."""
    assert redis_url
    stage = set_up()
    job = stage.run("submit", stage.file("beans.csv", MIXED)).out.strip()
    wait_for(lambda: stage.behind.services.queue.queue_length(Queue.INTERACTIVE) == 1)
    watching = stage.begin("watch", job, "-o", "out.csv", "--patience", "60")
    watching.wait_for("queued")
    stage.api.kill()
    watching.wait_for("again")
    stage.api.start()
    with working(stage.behind):
        run = watching.end()

    assert run.code == 1
    assert len((stage.folder / "out.csv").read_text().splitlines()) == 6


def test_a_broken_upload_is_sent_again_and_makes_one_job(set_up: SetUp) -> None:
    """The first connection is cut after its first chunks had been stored."""
    stage = set_up(DRYBEANS_CHUNK_BYTES="2000")
    name = stage.file("beans.csv", "\n".join([HEADER, *[GOOD] * 5000]))

    with Proxy(stage.api.port) as proxy, working(stage.behind):
        proxy.cut_statements(1)
        url = f"http://127.0.0.1:{proxy.port}"
        run = stage.run("submit", name, "--wait", "--url", url)

    assert proxy.harmed == 1
    assert run.code == 0, run.said
    assert "trying again" in run.said
    whole = [job for job in stage.jobs() if job["state"] != "failed"]
    assert [job["rows"]["succeeded"] for job in whole] == [5000]


def test_the_same_key_makes_one_job(stage: Stage) -> None:
    """What is printed after Ctrl-C in an upload can be run as often as it takes."""
    name = stage.file("beans.csv", MIXED)

    again = ("submit", name, "--label", "sent=again", "--idempotency-key", "k")
    ids = {stage.run(*again).out for _ in range(2)}

    assert len(ids) == 1
    assert stage.run("list", "--label", "sent=again").out.count("sent=again") == 1


def test_a_large_file_with_a_wrong_header_is_refused_with_the_reason(stage: Stage) -> None:
    """The answer comes long before the upload's end, and is read all the same."""
    wrong = HEADER.replace("Area", "Aera")
    name = stage.file("beans.csv", "\n".join([wrong, *[GOOD] * 200_000]))

    before = stage.jobs()

    run = stage.run("submit", name)

    assert run.code == 2
    assert "Area is missing." in run.said
    assert "trying again" not in run.said
    assert stage.jobs() == before


def test_without_a_key_it_says_what_to_do(set_up: SetUp) -> None:
    """And with a wrong one, too; no traceback anywhere."""
    stage = set_up(DRYBEANS_API_KEYS="true")

    missing = stage.run("list")
    wrong = stage.run("list", DRYBEANS_API_KEY="dbk_abcdefghijkl_0000")

    assert missing.code == wrong.code == 2
    assert "DRYBEANS_API_KEY" in missing.said
    assert "DRYBEANS_API_KEY" in wrong.said
    assert "Traceback" not in missing.said + wrong.said


def test_numbers_on_the_command_line_get_their_label(stage: Stage) -> None:
    """And probabilities where they are asked for; a file works too."""
    numbers = [str(number) for number in BEAN]
    with working(stage.behind):
        plain = stage.run("predict", *numbers)
        chances = stage.run("predict", *numbers, "--probabilities")
        mixed = stage.run("predict", stage.file("beans.csv", MIXED))
        wrong = stage.run("predict", "1", "2")

    assert (plain.code, plain.out) == (0, "DERMASON\n")
    assert chances.out.startswith("DERMASON\tDERMASON=0.9")
    assert mixed.code == 1
    assert mixed.out.splitlines()[1] == "- Perimeter: The value is missing. (missing)"
    assert wrong.code == 2


def test_a_job_is_canceled_run_again_and_erased(stage: Stage) -> None:
    """By its id, as the list shows it."""
    job = stage.run("submit", stage.file("beans.csv", MIXED)).out.strip()
    assert job in stage.run("list", "--state", "queued").out
    assert "queued" in stage.run("status", job).out

    assert "canceled" in stage.run("cancel", job).out
    assert stage.run("status", job).code == 2
    again = stage.run("retry", job).out.strip()
    assert again != job
    assert stage.run("delete", job).code == 0
    gone = stage.run("status", job)
    assert gone.code == 2
    assert "deleted" in gone.said


def test_models_are_listed_and_described(stage: Stage) -> None:
    """With the columns that a file must have."""
    listed = stage.run("models").out
    shown = stage.run("models", "drybeans@1").out

    assert "drybeans@1" in listed
    assert "DERMASON" in shown
    assert "AspectRatio" in shown


def test_errors_are_json_for_machines(stage: Stage) -> None:
    """On standard output, as all answers are."""
    run = stage.run("submit", "-", "--json", given=b"Aera\n1\n")

    assert run.code == 2
    document = json.loads(run.out)
    assert document["code"] == "request_invalid"
    assert document["errors"][0]["code"] == "missing_column"
    assert run.said == ""
