"""The documents say what the code says: settings, states, codes, events, links."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.http.problems import STATUS
from shared.admin.__main__ import parser
from shared.domain.jobs import CHUNK_MOVES, MOVES, ChunkState, JobState
from shared.observability.metrics import ALL
from shared.settings import PREFIX, Settings

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_CONFIGURATION = (_ROOT / "docs/configuration.md").read_text()
_HTTP_API = (_ROOT / "docs/http-api.md").read_text()
_ARCHITECTURE = (_ROOT / "docs/architecture.md").read_text()
_MONITORING = (_ROOT / "docs/monitoring.md").read_text()
_RUNBOOK = (_ROOT / "docs/runbook.md").read_text()
_ADRS = sorted((_ROOT / "docs/adr").glob("[0-9]*.md"))
_ADR_INDEX = _ROOT / "docs/adr/README.md"
_DOCUMENTS = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted(_ROOT.glob("docs/**/*.md"))]
_SOURCES = {
    path.as_posix()
    for name in ("api", "shared", "worker", "bench", "tests")
    for path in (_ROOT / name).rglob("*.py")
}
_MAX_ADR_LINES = 45
_MAX_TITLE_WORDS = 7
_MAX_DOCUMENT_LINES = 200
_FIRST_SCREEN_LINES = 60
_LONG_DOCUMENTS = {"gke.md": "docs/gke.md is one walk-through, command by command"}

_SIZES = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "million": 10**6}
_TIMES = {"day": 86400.0, "days": 86400.0}


def table_of_settings() -> dict[str, str]:
    """Return each variable of the configuration reference with its documented default."""
    found: dict[str, str] = {}
    for line in _CONFIGURATION.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        names = re.findall(rf"`{PREFIX}([A-Z_]+)`", cells[0])
        if len(cells) == 3 and names:
            # One default for all of them, or one for each.
            defaults = cells[1].split(", ") if len(names) > 1 else [cells[1]]
            defaults = defaults * len(names) if len(defaults) == 1 else defaults
            found |= dict(zip(names, defaults, strict=True))
    return found


def as_value(text: str) -> str | float:
    """Read "64 KiB", "1,000" or "7 days" as a number, anything else as text."""
    text = text.strip("`")
    number, _, unit = text.replace(",", "").partition(" ")
    if not re.fullmatch(r"\d+(\.\d+)?", number):
        return text
    return float(number) * (_SIZES | _TIMES).get(unit, 1)


def test_the_configuration_reference_lists_every_setting_and_no_other() -> None:
    """No setting is undocumented, and none is documented that does not exist."""
    assert {name.lower() for name in table_of_settings()} == set(Settings.model_fields)


@pytest.mark.parametrize("name, documented", table_of_settings().items())
def test_the_configuration_reference_has_the_defaults_of_the_code(
    name: str, documented: str
) -> None:
    """Written for readers: 4 MiB, 7 days, none."""
    default = Settings.model_fields[name.lower()].default
    if documented in {"none", "cores"}:
        assert default is None or name == "WORKERS"
        return
    value = as_value(documented)
    if hasattr(default, "get_secret_value"):
        default = default.get_secret_value()
    if name == "HIGH_WATER_ROWS":
        value = float(value) * 10**6
    same = float(default) == value if isinstance(value, float) else str(default).lower() == value

    assert same, f"{name} is {default}, not {documented}"


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """No page that is not there."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text())

    missing = [link for link in links if not (document.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_the_source_files_that_documents_name_exist(document: Path) -> None:
    """By their path, or by the end of it."""
    named = re.findall(r"`([\w/.-]*\w\.py)`", document.read_text())

    assert [name for name in named if not any(f.endswith(f"/{name}") for f in _SOURCES)] == []


def test_every_state_of_a_job_is_explained() -> None:
    """The table of the HTTP API has a row for each state, and no other."""
    table = _HTTP_API.partition("## States of a job")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*JobState]


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.name)
def test_a_document_is_short(document: Path) -> None:
    """Longer documents are split by purpose."""
    if document.name in _LONG_DOCUMENTS:
        pytest.skip(_LONG_DOCUMENTS[document.name])

    assert len(document.read_text().splitlines()) <= _MAX_DOCUMENT_LINES


def test_the_first_screen_of_the_readme_is_enough_to_start() -> None:
    """It says how to start drybeans, how to call it and how to test it."""
    first = "\n".join(_README.splitlines()[:_FIRST_SCREEN_LINES])

    for part in ("```\nmake up\n```", "/predict", "/jobs", "/results", "`make test`", "](docs/"):
        assert part in first


def test_the_readme_links_to_every_document() -> None:
    """Each page of docs/ is found from the README."""
    pages = {f"docs/{path.name}" for path in (_ROOT / "docs").glob("*.md")}

    assert pages - set(re.findall(r"\]\((docs/[\w-]+\.md)", _README)) == set()


def drawn_moves(words: set[str]) -> Iterator[tuple[str, str]]:
    """Read the arrows of the state diagram."""
    for source, target in re.findall(r"^ +(\w+) --> (\w+)$", _ARCHITECTURE, re.MULTILINE):
        if {source, target} <= words:
            yield source, target


def test_the_drawn_moves_are_moves() -> None:
    """Every arrow is in the table, and every state is drawn."""
    drawn = set(drawn_moves({*JobState}))

    assert {target for _, target in drawn} | {"receiving"} == {*JobState}
    for source, target in drawn:
        assert JobState(target) in MOVES[JobState(source)]


def test_the_told_moves_of_a_chunk_are_moves() -> None:
    """The sentence about chunks names all their states."""
    told = "`pending → running → done | failed | canceled`"

    assert told in " ".join(_ARCHITECTURE.split())
    assert set(re.findall(r"\w+", told)) == {*ChunkState}
    assert ChunkState.PENDING in CHUNK_MOVES[ChunkState.RUNNING]


def test_the_runbooks_codes_are_codes() -> None:
    """What it tells to look for can be found."""
    codes = {error.code for error in STATUS}

    for code in re.findall(r"503 `(\w+)`", _RUNBOOK):
        assert code in codes


def test_the_runbooks_events_are_logged() -> None:
    """Each word it quotes from a log or a job stands in the code."""
    code = "".join(
        path.read_text()
        for name in ("api", "shared", "worker")
        for path in (_ROOT / name).rglob("*.py")
    )

    words = re.findall(r"(?:log|`failed` with|log:) `(\w+)`", _RUNBOOK)

    assert len(words) > 4
    for word in words:
        assert f'"{word}"' in code, word


@pytest.mark.parametrize("adr", _ADRS, ids=lambda path: path.name[:4])
def test_a_decision_is_short_and_whole(adr: Path) -> None:
    """Context, decision, consequences and what would change our mind, on a page."""
    text = adr.read_text()

    assert len(text.splitlines()) <= _MAX_ADR_LINES
    assert "ecision" in text
    assert "change our mind" in text


@pytest.mark.parametrize("adr", _ADRS, ids=lambda path: path.name[:4])
def test_a_decision_is_named_after_its_title(adr: Path) -> None:
    """Its file is the number and the title of a few words, and the index lists both."""
    number, title = adr.read_text().splitlines()[0].removeprefix("# ").split(" ", 1)
    words = re.findall(r"[a-z0-9]+", title.lower())

    assert adr.name == f"{number}-{'-'.join(words)}.md"
    assert len(words) <= _MAX_TITLE_WORDS
    assert f"- [{number} {title}]({adr.name})\n" in _ADR_INDEX.read_text()


def test_decisions_are_numbered_once() -> None:
    """A number leads to one decision."""
    numbers = [path.name[:4] for path in _ADRS]

    assert len(set(numbers)) == len(numbers)


def test_the_decisions_that_the_code_names_are_there() -> None:
    """A comment that refers to a decision refers to one that exists."""
    known = {path.name[:4] for path in _ADRS}
    named = {
        number
        for name in ("api", "shared", "worker", "bench")
        for path in (_ROOT / name).rglob("*.py")
        for number in re.findall(r"docs/adr/(\d{4})", path.read_text())
    }

    assert named <= known


def test_every_metric_is_explained() -> None:
    """In a table with its kind, its labels and its meaning, and no other stands there."""
    found = re.findall(
        r"^\| `(drybeans_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", _MONITORING, re.MULTILINE
    )
    parts = {m.name: [p for p in ALL if m in ALL[p]] for metrics in ALL.values() for m in metrics}
    told = {
        (m.name, m.kind, ", ".join(m.labels) or "–", f"{m.help} ({', '.join(parts[m.name])})")
        for metrics in ALL.values()
        for m in metrics
    }

    assert set(found) == told


def told_commands() -> list[str]:
    """Find every operator's command that a document tells to type."""
    texts = [document.read_text() for document in _DOCUMENTS]
    return sorted(
        {found for text in texts for found in re.findall(r"shared\.admin ([a-z][^`\n|)]*)", text)}
    )


@pytest.mark.parametrize("command", told_commands())
def test_the_operators_commands_can_be_typed(command: str) -> None:
    """As they are written, with a word for each … and each name in capitals."""
    words = command.partition("  #")[0].partition(" 2>")[0].replace("…", "x").rstrip(".,:;").split()
    known = parser()

    arguments = known.parse_args(words if words != ["keys"] else ["keys", "list"])

    assert callable(arguments.action)


def named_tests() -> list[str]:
    """Find every test that a document names as file::name."""
    texts = [document.read_text() for document in _DOCUMENTS]
    return sorted({found for text in texts for found in re.findall(r"`(tests/\S+::\w+)`", text)})


@pytest.mark.parametrize("named", named_tests())
def test_the_tests_that_documents_name_are_there(named: str) -> None:
    """What is said to be tested is tested."""
    file, _, name = named.partition("::")

    assert f"\ndef {name}(" in (_ROOT / file).read_text()


def test_security_names_a_test_for_each_threat() -> None:
    """All but the one that needs a network."""
    text = (_ROOT / "docs/security.md").read_text().partition("## Threats")[2]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]

    assert len(rows) > 10
    assert [row for row in rows if "::test_" not in row] == [rows[-1]]
