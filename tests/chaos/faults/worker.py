"""Faults of workers: killed, frozen, ended, slow to load, or with a wrong artifact."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.beans import MODEL_ROOT
from tests.chaos.faults.base import Registry, Strike, Target, fault, redeploy
from tests.chaos.stage import LEASE_SECONDS
from tests.chaos.worker import slow_loading_file

FAULTS: Final[Registry] = {}
_worker = partial(fault, FAULTS, Target.WORKER, costs_attempts=True)
# Longer than the 4 s that Celery grants a replaced process by itself.
_LOAD_SECONDS: Final = 6.0


@_worker("worker killed")
def _killed(strike: Strike) -> Iterator[None]:
    strike.worker_in_a_batch().send(signal.SIGKILL)
    yield


@_worker("worker's main process killed")
def _main_killed(strike: Strike) -> Iterator[None]:
    strike.worker_in_a_batch().send_main(signal.SIGKILL)
    yield


@_worker("pool process killed")
def _pool_process_killed(strike: Strike) -> Iterator[None]:
    _kill_all(strike.worker_in_a_batch().children())
    yield


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@_worker("worker frozen")
def _frozen(strike: Strike) -> Iterator[None]:
    worker = strike.worker_in_a_batch()
    worker.send(signal.SIGSTOP)
    held = worker.batch()
    # Its open BRPOP swallows the first message about its chunks; the second one goes elsewhere.
    strike.pause(LEASE_SECONDS + 3, LEASE_SECONDS + 7)
    if strike.chance.random() < 0.5:
        # It thaws when others have done its work; else perhaps while they are at it.
        strike.await_end(held)
    yield
    worker.send(signal.SIGCONT)


@_worker("worker terminated")
def _terminated(strike: Strike) -> Iterator[None]:
    strike.worker().send_main(signal.SIGTERM)
    yield


@_worker("pool processes killed while models load slowly")
def _killed_while_loading(strike: Strike) -> Iterator[None]:
    """Kill the pool of each worker; the processes that replace it need long to load a model."""
    file = slow_loading_file(strike.stage.folder)
    file.write_text(str(_LOAD_SECONDS))
    try:
        for worker in strike.stage.workers:
            _kill_all(worker.children())
        strike.require_progress("after the pool processes were killed while models load slowly")
        yield
    finally:
        file.unlink()


def _damage(root: Path) -> None:
    """Flip a byte in each model file: its hash is no longer that of its manifest."""
    for file in root.glob("*/*/model.skops"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)


def _truncate(root: Path) -> None:
    for file in root.glob("*/*/model.skops"):
        file.write_bytes(file.read_bytes()[:1000])


def _break_manifests(root: Path) -> None:
    for file in root.glob("*/*/manifest.json"):
        file.write_bytes(file.read_bytes()[:-200])


def _remove_versions(root: Path) -> None:
    for folder in root.glob("*/2"):
        shutil.rmtree(folder)
        for aliases in folder.parent.glob("aliases.json"):
            aliases.unlink()


def _rewrite_version(root: Path) -> None:
    """Publish version 1 as version 2: it verifies, but is not what jobs were accepted for."""
    model = root / "drybeans"
    shutil.rmtree(model / "2")
    shutil.copytree(model / "1", model / "2")
    manifest = json.loads((model / "2/manifest.json").read_text())
    (model / "2/manifest.json").write_text(json.dumps(manifest | {"version": 2}))


_WRONG_ARTIFACTS: Final[dict[str, Callable[[Path], None]]] = {
    "a damaged artifact": _damage,
    "a truncated artifact": _truncate,
    "a broken manifest": _break_manifests,
    "a missing version": _remove_versions,
    "another artifact under the version": _rewrite_version,
}


def _misdeployed(spoil: Callable[[Path], None], strike: Strike) -> Iterator[None]:
    """Restart one worker with a model root of its own, which `spoil` has changed."""
    worker = strike.worker()
    root = strike.stage.folder / f"models-{spoil.__name__.strip('_')}"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(MODEL_ROOT, root)
    spoil(root)
    redeploy(strike, [worker], {"DRYBEANS_MODEL_ROOT": str(root)})
    strike.require_progress("while one worker has a wrong artifact")
    yield
    redeploy(strike, [worker], {})


for _name, _spoil in _WRONG_ARTIFACTS.items():
    fault(FAULTS, Target.WORKER, f"worker with {_name}", hold=(15, 20))(
        partial(_misdeployed, _spoil)
    )
