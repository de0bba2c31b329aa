"""Which replica gets the next request."""

import threading
from collections import Counter
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import ModelUnreachable
from openoutcry.serving.asking.replicas import LeftOut, Pool

URLS = tuple(f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003, 9004))


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def taken(pool: Pool, stack: ExitStack, count: int, prefix: str = "") -> list[str]:
    return [stack.enter_context(pool.lease(prefix)) for _ in range(count)]


@given(st.integers(1, 4), st.integers(1, 40))
def test_requests_without_a_common_beginning_are_spread_evenly(replicas: int, requests: int) -> None:
    pool = Pool("nano", lambda: URLS[:replicas])
    with ExitStack() as stack:
        loads = Counter(taken(pool, stack, requests))
        assert max(loads.values()) - min(loads[url] for url in URLS[:replicas]) <= 1
        assert pool.outstanding == {url: loads[url] for url in URLS[:replicas]}
    assert set(pool.outstanding.values()) == {0}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5)), min_size=1, max_size=80))
def test_nobody_gets_a_request_who_is_busier_by_more_than_one(steps: list[tuple[str, int]]) -> None:
    pool = Pool("nano", lambda: URLS)
    held: list[ExitStack] = []
    for prefix, ended in steps:
        for _ in range(min(ended, len(held))):
            held.pop(0).close()
        before = pool.outstanding
        stack = ExitStack()
        assert before[stack.enter_context(pool.lease(prefix))] <= min(before.values()) + 1
        held.append(stack)
    for stack in held:
        stack.close()
    assert set(pool.outstanding.values()) == {0}


def test_one_after_another_they_take_turns() -> None:
    pool = Pool("nano", lambda: URLS)
    seen: list[str] = []
    for _ in range(8):
        with pool.lease("") as url:
            seen.append(url)
    assert Counter(seen) == dict.fromkeys(URLS, 2)


def test_the_same_beginning_goes_where_it_was_last_unless_that_is_busier_by_two() -> None:
    pool = Pool("nano", lambda: URLS[:2])
    with pool.lease("analyst") as home:
        pass
    with pool.lease("risk") as other:
        pass
    assert {home, other} == set(URLS[:2])
    with ExitStack() as stack:
        assert taken(pool, stack, 3, "analyst") == [home, home, other]


def test_beginnings_that_were_not_asked_for_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openoutcry.serving.asking.replicas.PREFIXES", 2)
    pool = Pool("nano", lambda: URLS)
    for prefix in ("old", "kept", "new"):
        with pool.lease(prefix):
            pass
    with pool.lease("kept") as url:
        assert url == URLS[1]
    for turn in (URLS[3], URLS[0]):
        with pool.lease("") as url:
            assert url == turn
    with pool.lease("old") as url:
        assert url == URLS[2]  # it is that one's turn; the first, which had it, is forgotten


@given(st.sampled_from(URLS), st.lists(st.sampled_from("ab"), min_size=1, max_size=30))
def test_a_dead_replica_is_out_at_once(dead: str, prefixes: list[str]) -> None:
    pool = Pool("nano", lambda: URLS, Clock())
    for prefix in "abab":
        with pool.lease(prefix):
            pass
    pool.dead(dead)
    with ExitStack() as stack:
        assert dead not in {stack.enter_context(pool.lease(prefix)) for prefix in prefixes}


def test_within_one_request_the_next_replica_is_tried() -> None:
    pool = Pool("nano", lambda: URLS[:2])
    with pool.lease("analyst") as first:
        pool.dead(first)
        with pool.lease("analyst", avoid=(first,)) as second:
            assert second != first
    with pool.lease("analyst") as again:
        assert again == second


def test_a_dead_replica_is_offered_again_after_one_second_doubling_to_thirty() -> None:
    clock = Clock()
    pool = Pool("nano", lambda: URLS[:1], clock)
    pauses: list[float] = []
    for _ in range(7):
        pool.dead(URLS[0])
        began = clock.seconds
        while True:
            try:
                with pool.lease(""):
                    break
            except ModelUnreachable:
                clock.seconds += 0.5
        pauses.append(clock.seconds - began)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    pool.alive(URLS[0])
    pool.dead(URLS[0])
    clock.seconds += 1
    with pool.lease("") as url:
        assert url == URLS[0]


def test_many_failures_at_once_count_as_one() -> None:
    clock = Clock()
    pool = Pool("nano", lambda: URLS[:1], clock)
    for _ in range(10):
        pool.dead(URLS[0])
    clock.seconds += 1
    with pool.lease("") as url:
        assert url == URLS[0]


def test_one_request_at_a_time_tries_whether_a_replica_is_back_while_others_answer() -> None:
    clock = Clock()
    pool = Pool("nano", lambda: URLS[:2], clock)
    pool.dead(URLS[0])
    clock.seconds += 1
    with ExitStack() as stack:
        assert taken(pool, stack, 5).count(URLS[0]) == 1
        pool.alive(URLS[0])
        assert taken(pool, stack, 3) == [URLS[0]] * 3


def test_what_is_avoided_is_taken_where_there_is_no_other() -> None:
    pool = Pool("nano", lambda: URLS[:1])
    with pool.lease("", avoid=URLS[:1]) as url:
        assert url == URLS[0]


def test_a_model_without_a_server_says_what_starts_it() -> None:
    pool = Pool("nano", lambda: ())
    with pytest.raises(ModelUnreachable, match=r"^nano is not running; `outcry stack up` starts it$"):
        pool.lease("").__enter__()


def test_a_model_whose_servers_all_failed_says_where_to_look() -> None:
    pool = Pool("nano", lambda: URLS[:2], Clock())
    pool.dead(URLS[0])
    pool.dead(URLS[1])
    with pytest.raises(ModelUnreachable, match=r"^nano: all 2 of its servers failed .* `outcry stack status`"):
        pool.lease("").__enter__()


def test_a_replica_that_was_taken_away_comes_back_with_a_clean_slate() -> None:
    clock, urls = Clock(), list(URLS[:2])
    pool = Pool("nano", lambda: urls, clock)
    pool.dead(URLS[0])
    urls.remove(URLS[0])
    with pool.lease("") as url:
        assert url == URLS[1]
    urls.append(URLS[0])
    with pool.lease("") as url:
        assert url == URLS[0]


def test_a_request_in_the_air_at_a_replica_that_is_gone_is_still_counted() -> None:
    urls = list(URLS[:2])
    pool = Pool("nano", lambda: urls)
    with pool.lease("") as url:
        urls.remove(url)
        assert pool.outstanding[url] == 1
        with pool.lease(""):
            pass
    assert url not in pool.outstanding


def test_threads_lose_no_count() -> None:
    pool = Pool("nano", lambda: URLS)

    def work() -> None:
        for i in range(500):
            with suppress(LeftOut), pool.lease(str(i % 7)) as url:  # eight threads may hold all four dead for a moment
                pool.alive(url) if i % 3 else pool.dead(url)
                pool.alive(url)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.outstanding == dict.fromkeys(URLS, 0)


def test_one_that_let_a_deadline_pass_is_left_out_only_where_there_is_another() -> None:
    pool = Pool("nano", lambda: URLS[:2], Clock())
    with pool.lease("once upon a time") as hung:
        pool.slow(hung)
    with pool.lease("once upon a time") as other:
        assert other != hung
        pool.slow(other)
    with pool.lease("once upon a time") as again:
        assert again == other
