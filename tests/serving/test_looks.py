"""A look at a replica, from a page that a real vLLM 0.32 gave under load, and from pages that are none."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import ModelGarbled, ModelRefused, ModelUnreachable
from openoutcry.serving.looks import Look, look, read
from openoutcry.serving.transport import Transport
from tests.serving.metrics_double import page, replica

REAL = Path(__file__).with_name("vllm_metrics.txt").read_text()


async def test_a_page_of_a_real_vllm_is_read() -> None:
    with replica(REAL) as url:
        seen = await look(Transport(), url, 60)
    assert seen == Look(2, 6, 0.2899408284023669, 7000, 66, 10500, 0)


def test_engines_add_up_and_the_fullest_cache_counts() -> None:
    lines = [line for line in REAL.splitlines() if not line.startswith("#")]
    second = [line.replace('engine="0"', 'engine="1"').replace("0.2899408284023669", "0.75") for line in lines]
    assert read("\n".join([*lines, *second])) == Look(4, 12, 0.75, 14000, 132, 21000, 0)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 1))
def test_what_is_written_is_read(running: int, waiting: int, kv: float) -> None:
    seen = read(page(running, waiting, kv))
    assert (seen.running, seen.waiting, seen.kv) == (running, waiting, kv)


@pytest.mark.parametrize("name", ["num_requests_running", "kv_cache_usage_perc", "prefix_cache_hits_total"])
async def test_a_metric_that_is_missing_is_not_taken_for_idleness(name: str) -> None:
    without = re.sub(rf"^vllm:{name}.*$", "", REAL, flags=re.MULTILINE)
    with replica(without) as url, pytest.raises(ModelGarbled, match=f"none of vllm:{name}; is it another server"):
        await look(Transport(), url, 60)


@pytest.mark.parametrize("text", ["", "<html></html>", page(kv=float("nan")), REAL.replace("} 6.0", "} many")])
async def test_what_is_no_such_page_is_garbled(text: str) -> None:
    with replica(text) as url, pytest.raises(ModelGarbled, match=r"^expected vLLM's metrics at http"):
        await look(Transport(), url, 60)


async def test_a_server_that_refuses_is_named() -> None:
    with replica(REAL, status=503) as url, pytest.raises(ModelRefused, match="status 503"):
        await look(Transport(), url, 60)


async def test_a_server_that_is_gone_is_unreachable() -> None:
    with replica(REAL) as url:
        pass
    with pytest.raises(ModelUnreachable):
        await look(Transport(), url, 60)
