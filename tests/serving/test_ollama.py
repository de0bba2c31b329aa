"""What Ollama holds, read from a double of its published API."""

from collections.abc import Callable

import pytest

from openoutcry.core.errors import ModelGarbled, ModelRefused, ModelUnreachable
from openoutcry.serving import ollama
from openoutcry.serving.transport import Transport

Double = Callable[..., str]


async def test_models_are_listed_with_what_they_keep_of_a_prompt(double: Double) -> None:
    url = double(
        "ollama_double",
        **{
            "plain:latest": {"longest": 32768},
            "set:8b": {"longest": 131072, "num_ctx": 16384, "tools": False},
            "run:1b": {"longest": 8192, "num_ctx": 6000, "loaded": True},
            "tiny:1b": {"longest": 2048},
        },
    )
    listed = {m.name: m for m in await ollama.models(Transport(), url)}
    assert list(listed) == ["plain:latest", "run:1b", "set:8b", "tiny:1b"]
    assert {n: m.context for n, m in listed.items()} == {
        "plain:latest": 4096,
        "run:1b": 6000,
        "set:8b": 16384,
        "tiny:1b": 2048,
    }
    assert {n for n, m in listed.items() if m.cut} == {"plain:latest", "set:8b", "run:1b"}
    assert {n for n, m in listed.items() if m.loaded} == {"run:1b"}
    assert {n for n, m in listed.items() if not m.tools} == {"set:8b"}
    plain = listed["plain:latest"]
    assert (plain.size, plain.digest, plain.parameters, plain.quantisation, plain.longest) == (
        5137025024,
        "2ae6f6dd7a3d",
        "7.2B",
        "Q4_0",
        32768,
    )
    assert "PARAMETER num_ctx 32768" in plain.mend(32768)
    assert "OLLAMA_CONTEXT_LENGTH=32768" in plain.mend(32768)


async def test_an_older_ollama_does_not_tell_the_context_of_what_it_loaded(double: Double) -> None:
    url = double("ollama_double", **{"old:1b": {"num_ctx": 3000, "loaded": True, "tells": False}})
    assert [m.context for m in await ollama.models(Transport(), url)] == [3000]


async def test_a_name_stands_for_its_latest(double: Double) -> None:
    url = double("ollama_double", **{"plain:latest": {}})
    found = await ollama.show(Transport(), url, "plain")
    assert found is not None
    assert found.name == "plain:latest"
    assert await ollama.show(Transport(), url, "other") is None
    assert await ollama.version(Transport(), url) == "0.12.6"


async def test_one_that_is_torn_hides_no_other(double: Double) -> None:
    url = double("ollama_double", **{"bad:1b": {"torn": True}, "good:1b": {"num_ctx": 8192}})
    listed = await ollama.models(Transport(), url)
    assert [(m.name, m.context, m.longest) for m in listed] == [("bad:1b", 4096, 0), ("good:1b", 8192, 32768)]
    assert await ollama.show(Transport(), url, "good:1b") == listed[1]
    with pytest.raises(ModelRefused, match="/api/show"):
        await ollama.show(Transport(), url, "bad:1b")


async def test_an_ollama_without_models(double: Double) -> None:
    assert await ollama.models(Transport(), double("ollama_double")) == []


async def test_another_server_is_not_taken_for_ollama(double: Double) -> None:
    with pytest.raises(ModelRefused, match="status 404"):
        await ollama.models(Transport(), double("model_double"))
    with pytest.raises(ModelUnreachable):
        await ollama.version(Transport(), "http://127.0.0.1:9")
    url = double("ollama_double", **{"plain:latest": {"more": {"parameters": 7}}})
    with pytest.raises(ModelGarbled, match="/api/show"):
        await ollama.models(Transport(), url)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [("", 0), ('stop "x"\nnum_ctx   8192', 8192), ("num_ctx many", 0), ("temperature 0.7\nnum_ctx 2048\n", 2048)],
)
def test_num_ctx_is_read_from_the_parameters_text(parameters: str, expected: int) -> None:
    assert ollama.num_ctx(parameters) == expected
