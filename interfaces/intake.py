"""What an ingest did, for a person: progress on stderr, a table of what was taken and refused."""

from collections.abc import Iterable, Iterator

from openoutcry.core.progress import Line
from openoutcry.interfaces.text import wrap
from openoutcry.tools.data.intake import Intake

SHOWN = 5


class Ticker(Line):
    """Where an ingest is; without a terminal, what was taken alone."""

    def __call__(self, line: str) -> None:
        """Show where the work is."""
        if self.terminal or line.endswith("taken"):
            self.show(line)


def table(intakes: Iterable[Intake]) -> str:
    """A line a file, and under it each reason for refusal with its count."""
    return "\n".join(line for intake in intakes for line in _lines(intake))


def _lines(intake: Intake) -> Iterator[str]:
    refused = len(intake.refused)
    yield (
        f"{intake.dataset:<13} {intake.file:<32} {intake.taken:>9,} taken {intake.unchanged:>9,} already there "
        f"{refused:>7,} refused"
    )
    if intake.unused:
        yield wrap(f"columns not used: {', '.join(intake.unused)}", "    ", "      ")
    for reason, times in intake.reasons.most_common(SHOWN):
        yield wrap(f"{times:,} x {reason}", "    ", "      ")
    if len(intake.reasons) > SHOWN:
        yield f"    and {len(intake.reasons) - SHOWN} reasons more"
    if intake.rejects:
        yield f"    each refused row with its reason: {intake.rejects}"
