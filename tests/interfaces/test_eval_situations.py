"""`outcry eval situations`: every situation is listed, and one tells its options and its truths."""

from click.testing import CliRunner

from openoutcry.cli import main
from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.case import made, situations


def test_situations_are_listed_and_one_tells_what_may_be_chosen_and_what_is_true() -> None:
    listed = CliRunner().invoke(main, ["eval", "situations"]).output
    assert all(f"\n{name} " in f"\n{listed}" for name in situations())
    shown = CliRunner().invoke(main, ["eval", "situations", "steady", "--seed", "4"]).output
    truths = made(Made(situation="steady", seed=4)).truths
    assert all(f"${name} " in shown and str(value) in shown for name, value in truths.items())
    assert "deviation: from 0.0001 to 0.25; by chance, here " in shown


def test_what_is_no_situation_is_said() -> None:
    for name in ("stead", "st ead"):
        result = CliRunner().invoke(main, ["eval", "situations", name])
        assert result.exit_code == 2
        assert "situation" in result.output
