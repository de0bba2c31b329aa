"""What a report alone tells of how its models did: an answer of no form, or one that nothing held up."""

from typing import Literal

from openoutcry.agents.calls import INVALID, TOO_MANY
from openoutcry.agents.team import UNGROUNDED
from openoutcry.core.report import NoFinding, Report


def lapses(report: Report) -> dict[str, Literal["schema", "evidence"]]:
    """By role, how the answer that was given failed, were it in one sentence of it, which was dropped.

    Roles whose whole answer stood are left out, as is who gave it.
    """
    found: dict[str, Literal["schema", "evidence"]] = {dropped.role: "evidence" for dropped in report.dropped}
    for finding in report.findings:
        if isinstance(finding, NoFinding) and finding.reason in (INVALID, TOO_MANY):
            found[finding.role] = "schema"
        elif isinstance(finding, NoFinding) and finding.reason == UNGROUNDED:
            found[finding.role] = "evidence"
    return found
