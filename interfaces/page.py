"""The report as a page: placeholder while it is drawn."""

from typing import Self

from openoutcry.core.report import Report


class Shown(Report):
    """A report that a notebook shows as a page."""

    @classmethod
    def of(cls, report: Report) -> Self:
        """The same report, able to show itself."""
        return cls.model_construct(**{name: getattr(report, name) for name in Report.model_fields})
