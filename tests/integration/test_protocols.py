"""The Open Inference Protocol by a client that others wrote, and KServe's V1, on real processes."""

from collections.abc import Iterator
from functools import partial

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.e2e.service import Service
from tests.waiting import wait_for
from tests.working import BEAN

_NAME = "drybeans"


def is_ready(client: httpx.Client, path: str) -> bool:
    """Return whether the model at `path` is ready."""
    return client.get(path).status_code == 200


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """All parts with what they embed."""
    service = Service(tmp_path_factory.mktemp("protocols"))
    service.start()
    # Workers report which models they can load a moment after they have started.
    with service.client() as client:
        for path in (f"/v2/models/{_NAME}/ready", f"/v2/models/{_NAME}/versions/1/ready"):
            wait_for(partial(is_ready, client, path), seconds=600, every=0.2)
    yield service
    service.stop()


@pytest.fixture
def triton(running: Service) -> Iterator[InferenceServerClient]:
    """The client as its makers ship it."""
    client = InferenceServerClient(f"127.0.0.1:{running.port}", network_timeout=600.0)
    yield client
    client.close()


def rows(count: int, datatype: str = "FP64") -> InferInput:
    """Make a tensor of beans, written as JSON: binary tensors are not taken."""
    kind = {"FP64": np.float64, "FP32": np.float32}[datatype]
    tensor = InferInput("rows", [count, len(BEAN)], datatype)
    return tensor.set_data_from_numpy(np.array([BEAN] * count, kind), binary_data=False)


def asked(name: str) -> InferRequestedOutput:
    """Ask for an output, written as JSON."""
    return InferRequestedOutput(name, binary_data=False)


def test_the_client_finds_server_and_model_ready(triton: InferenceServerClient) -> None:
    """And learns what the model takes and gives; a model that is not there is not ready."""
    metadata = triton.get_model_metadata(_NAME)

    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.get_server_metadata()["name"] == "drybeans"
    assert triton.is_model_ready(_NAME)
    assert triton.is_model_ready(_NAME, "1")
    assert not triton.is_model_ready("lentils")
    assert metadata["inputs"][0]["shape"] == [-1, len(BEAN)]


def test_a_version_tells_of_itself_and_says_what_there_is_not(
    triton: InferenceServerClient,
) -> None:
    """Each has its own metadata; one that is not there is 404."""
    metadata = [triton.get_model_metadata(_NAME, version) for version in ("1", "2")]

    assert [each["parameters"]["version"] for each in metadata] == ["1", "2"]
    assert not triton.is_model_ready(_NAME, "99")
    with pytest.raises(InferenceServerException) as wrong:
        triton.get_model_metadata(_NAME, "99")
    assert "404" in str(wrong.value.status())


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
@pytest.mark.parametrize("version", ["", "1", "2"])
def test_the_client_gets_a_label_for_each_row(
    triton: InferenceServerClient, version: str, datatype: str
) -> None:
    """From each version, with probabilities if it asks for them, and with its own id."""
    outputs = [asked("predict")]

    answer = triton.infer(
        _NAME, [rows(3, datatype)], model_version=version, outputs=outputs, request_id="mine"
    )

    assert answer.get_response()["id"] == "mine"
    assert [str(label) for label in answer.as_numpy("predict")] == ["DERMASON"] * 3


def test_the_client_gets_probabilities(triton: InferenceServerClient) -> None:
    """As a tensor of rows and classes."""
    outputs = [asked("predict"), asked("predict_proba")]

    answer = triton.infer(_NAME, [rows(2)], outputs=outputs)

    chances = answer.as_numpy("predict_proba")
    assert chances.shape[0] == 2
    assert np.allclose(chances.sum(axis=1), 1)


def test_the_client_is_told_what_is_wrong(triton: InferenceServerClient) -> None:
    """As an exception with the status and the reason."""
    narrow = InferInput("rows", [1, 2], "FP64")
    narrow.set_data_from_numpy(np.array([[1.0, 2.0]]), binary_data=False)

    with pytest.raises(InferenceServerException) as wrong:
        triton.infer(_NAME, [narrow], outputs=[asked("predict")])

    assert "4" in str(wrong.value.status())
    assert "shape" in str(wrong.value)


def test_kserves_v1_predicts(running: Service) -> None:
    """A label for each instance, and 404 for a model that is not there."""
    with running.client() as client:
        assert client.get(f"/v1/models/{_NAME}").json() == {"name": _NAME, "ready": True}
        answer = client.post(f"/v1/models/{_NAME}:predict", json={"instances": [BEAN, BEAN]})
        unknown = client.post("/v1/models/lentils:predict", json={"instances": [BEAN]})

    assert answer.json() == {"predictions": ["DERMASON", "DERMASON"]}
    assert unknown.status_code == 404
    assert unknown.headers["Content-Type"] == "application/problem+json"


def test_kserves_v1_refuses_what_is_no_bean(running: Service) -> None:
    """With the place of each mistake."""
    with running.client() as client:
        answer: httpx.Response = client.post(
            f"/v1/models/{_NAME}:predict", json={"instances": [[1, 2], BEAN]}
        )

    assert 400 <= answer.status_code < 500
    assert "/instances/0" in answer.text
