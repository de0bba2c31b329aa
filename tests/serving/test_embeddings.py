"""The served embedder: vectors at length 1, from its endpoint, or of the same weights in this process."""

import hashlib
import json
import socket
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openoutcry.core.errors import ModelGarbled, ModelRefused, ModelUnreachable
from openoutcry.serving.asking.embeddings import Exact, Remote
from openoutcry.serving.asking.replicas import Pool
from openoutcry.serving.meter import Asked, Meter, unmetered
from openoutcry.serving.stack import Served
from openoutcry.serving.transport import Transport

Double = Callable[..., str]
GONE = "http://127.0.0.1:9"


class InProcess:
    """Gives what the double gives, worked out here once more; *off* turns each vector away from it."""

    name = "here"
    space = "0123456789ab"

    def __init__(self, dimension: int = 8, off: float = 0.0) -> None:
        self.dimension = dimension
        self.off = off
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += len(texts)
        return np.stack([expected(t, self.dimension, self.off) for t in texts])


def expected(text: str, dimension: int = 8, off: float = 0.0) -> NDArray[np.float32]:
    raw = [hashlib.sha256(f"{text}{i}".encode()).digest()[0] - 127.5 for i in range(dimension)]
    vector = np.array(raw, np.float64)
    vector = vector / np.linalg.norm(vector) + off * np.eye(dimension)[0]
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def served(**more: Any) -> Served:
    return Served.model_validate({"name": "m", "weights": "w", "purpose": "embed", "seconds": 60, **more})


def embedder(*urls: str, exact: Exact | None = None, model: Served | None = None, meter: Meter = unmetered) -> Remote:
    return Remote("m", model or served(), Pool("m", lambda: urls), Transport(), exact, meter)


def calls(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/calls") as told:
        return json.load(told)


def test_vectors_come_in_order_at_length_one_in_batches(double: Double) -> None:
    url = double("model_double", dimension=8)
    made = embedder(url)
    texts = [f"text {i}" for i in range(150)]
    vectors = made.embed(texts)
    assert vectors.dtype == np.float32
    assert made.dimension == 8
    np.testing.assert_allclose(vectors, [expected(t) for t in texts], atol=1e-6)
    sizes = sorted(len(c["texts"]) for c in calls(url) if c["path"] == "/v1/embeddings")
    assert sizes == [22, 64, 64]
    assert made.embed([]).shape == (0, 8)


def test_the_space_is_that_of_the_weights_here_or_named_by_the_model(double: Double) -> None:
    url = double("model_double", dimension=8)
    assert embedder(url, exact=Exact("0123456789ab", InProcess)).space == "0123456789ab"
    assert embedder(url).space == hashlib.sha256(b"vllm w").hexdigest()[:12]
    assert embedder(url, model=served(weights="v")).space != embedder(url).space


def test_the_weights_here_are_loaded_only_when_the_endpoint_fails(double: Double) -> None:
    loaded: list[InProcess] = []

    def load() -> InProcess:
        loaded.append(InProcess())
        return loaded[-1]

    made = embedder(double("model_double", dimension=8, fails_after=1), exact=Exact("0123456789ab", load))
    made.embed(["first"])
    assert not loaded
    for text in ("later", "and later"):
        np.testing.assert_allclose(made.embed([text]), [expected(text)], atol=1e-6)
    (near,) = loaded
    assert near.embedded == 2


def test_without_the_weights_here_a_failure_is_said(double: Double) -> None:
    made = embedder(double("model_double", dimension=8, fails_after=1))
    made.embed(["first"])
    with pytest.raises(ModelRefused, match="status 500"):
        made.embed(["later"])
    with pytest.raises(ModelUnreachable):
        embedder(GONE).embed(["a"])


def test_each_request_is_measured(double: Double) -> None:
    asked: list[Asked] = []
    urls = [GONE, double("model_double", dimension=8)]
    Remote("m", served(), Pool("m", lambda: urls), Transport(), meter=asked.append).embed(["a"])
    assert [(a.role, a.model, a.url, a.outcome, a.retried) for a in asked] == [
        ("embedder", "m", GONE, "ModelUnreachable", False),
        ("embedder", "m", urls[1], "ok", True),
    ]


def test_the_dimension_is_known_before_a_text_was_embedded(double: Double) -> None:
    assert embedder(double("model_double", dimension=8)).dimension == 8
    assert embedder(GONE, exact=Exact("0123456789ab", InProcess)).dimension == 8


def test_another_replica_is_asked_where_one_fails(double: Double) -> None:
    made = embedder(GONE, double("model_double", dimension=8))
    for _ in range(3):
        np.testing.assert_allclose(made.embed(["a"]), [expected("a")], atol=1e-6)


def test_vectors_that_are_none(double: Double) -> None:
    pool = Pool("m", lambda: [double_url])
    double_url = double("model_double", dimension=8, faults=["zero"])
    with pytest.raises(ModelGarbled, match="got a zero vector"):
        Remote("m", served(), pool, Transport()).embed(["a"])
    double_url = double("model_double")
    with pytest.raises(ModelRefused, match="status 404"):
        Remote("m", served(), pool, Transport()).embed(["a"])
    with pytest.raises(ModelUnreachable):
        Remote("m", served(), Pool("m", list), Transport()).embed(["a"])


def test_ollama_is_asked_by_its_tag(double: Double) -> None:
    url = double("model_double", name="minilm:l6", dimension=8)
    made = embedder(url, model=served(engine="ollama", url=url, weights="minilm:l6"))
    assert made.space == hashlib.sha256(b"ollama minilm:l6").hexdigest()[:12]


def test_an_endpoint_that_hangs_is_waited_for_once() -> None:
    asked: list[Asked] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        here = InProcess()
        near = Exact(here.space, lambda: here)
        made = embedder(
            f"http://127.0.0.1:{silent.getsockname()[1]}", exact=near, model=served(seconds=0.5), meter=asked.append
        )
        for text in ("one", "two", "three"):
            np.testing.assert_allclose(made.embed([text]), [expected(text)], atol=1e-6)
    assert [a.outcome for a in asked] == ["ModelTooSlow"]
