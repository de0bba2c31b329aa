"""A registered adapter is asked for only where it is loaded; load and failures are those of the replicas."""

import pytest

from openoutcry.serving.asking.replicas import NotRunning, Pool


def test_a_view_asks_only_those_that_have_it_and_shares_what_is_known_of_them() -> None:
    every, able = ["http://a", "http://b", "http://c"], ["http://b", "http://c"]
    pool = Pool("nano", lambda: every, now=lambda: 0.0, absent=lambda: "is away")
    view = pool.among(lambda: able, lambda: "has not loaded risk-1 yet")
    pool.dead("http://a")
    with view.lease("") as one, view.lease("") as two:
        assert {one, two} == set(able)
        assert pool.outstanding == {"http://a": 0, "http://b": 1, "http://c": 1}
        with pool.lease("") as third:
            assert third in able, "a failed one stays left out though the view does not know it"
    pool.alive("http://a")
    with pool.lease("", avoid=able) as other:
        assert other == "http://a"
    able.clear()
    with pytest.raises(NotRunning, match="nano has not loaded risk-1 yet"), view.lease(""):
        pass
