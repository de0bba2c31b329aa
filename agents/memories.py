"""What a run leaves in memory: a finding a claim, the desk's decision, and a digest of each document read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from openoutcry.agents.questions import ROLES
from openoutcry.agents.reader import Relevance
from openoutcry.agents.remembered import Read, Remembered
from openoutcry.agents.workbench import BLOCK
from openoutcry.core.claims import REFERENCE, references, render
from openoutcry.core.clock import AsOf
from openoutcry.core.evidence import Figure, Unit
from openoutcry.core.report import Finding, Report
from openoutcry.memory.record import MARKET, Kind, Memory, Trust
from openoutcry.tools.tone import TONES

BOOK = "@book"
LONGEST = 2000
JUST_AFTER = timedelta(seconds=1)
DECISION = (
    "On {M.made} the desk put the chance that {M.ticker} ends {M.horizon} higher at {M.p_up}, against a base rate of "
    "{M.base_rate}."
)
COMPARED = (
    "On {M.made} the desk put the chance that {M.ticker} beats {M.other} over {M.horizon} at {M.p_up}, against a base "
    "rate of {M.base_rate}."
)
DIGEST = "A {M.kind} document, published on {M.made}, reads {M.tone} for {M.ticker} on a scale from minus to plus one."
ON_MARKET = (
    "A {M.kind} document, published on {M.made}, reads {M.tone} for the market on a scale from minus to plus one."
)


def subject(tickers: Sequence[str]) -> str:
    """What a memory on these tickers is filed under: the one, the two of a comparison as AAPL/MSFT, or the book."""
    return "/".join(tickers[:2]) or BOOK


def of_run(report: Report, models: Mapping[str, str], remembered: Remembered, reads: Sequence[Read]) -> list[Memory]:
    """The memories that a report leaves: known a second after its as-of, so that no run sees its own.

    A claim that cites a memory is not kept, or the desk would hear its own echo.
    """
    moment = AsOf.parse(report.as_of).moment.astimezone(UTC).replace(tzinfo=None)
    answered = {**models, **{s.role: s.answered for s in report.stood_in}}
    stem = _Stem(report, answered, moment, remembered)
    digests = list(
        {d.id: d for d in (stem.digest(r) for r in reads if r.reading.relevance is not Relevance.UNRELATED)}.values()
    )
    findings = [m for f in report.findings if isinstance(f, Finding) for m in stem.findings(f)]
    return [*digests, *findings, *stem.decision([m.id for m in findings])]


@dataclass(frozen=True, slots=True)
class _Stem:
    """What all memories of one run share."""

    report: Report
    models: Mapping[str, str]
    as_of: datetime
    remembered: Remembered

    def findings(self, finding: Finding) -> Iterator[Memory]:
        """A memory for each claim that stands on tools alone."""
        seats = ROLES[self.report.question.kind]
        seat = seats.index(finding.role) if finding.role in seats else -1
        parents = (*self._shown(finding.role), *self._documents(seat))
        for claim in finding.claims:
            if any(eid.startswith("M") for eid, _ in references(claim)):
                continue
            template, figures, origins = self._own(claim)
            cited = tuple(dict.fromkeys(eid for eid, _ in references(claim)))
            yield self._memory(
                kind=Kind.FINDING,
                ticker=self._ticker(cited),
                role=finding.role,
                model=finding.model,
                evidence=cited,
                parents=parents,
                claim=template,
                text=render(claim, self.report.by_id),
                figures=figures,
                details=origins,
            )

    def decision(self, findings: Sequence[str]) -> Iterator[Memory]:
        """The desk's view with each role's, where there is one."""
        view = self.report.by_id.get(self.report.view)
        if view is None or "last_date" not in view.figures:
            return
        figures = {name: f for name, f in view.figures.items() if name != "last_date"} | {
            "made": view.figures["last_date"]
        }
        claim = COMPARED if "other" in figures else DECISION
        leaning = sorted({self.models[r] for r in self.models if f"{r}_p_up" in figures})
        memory = self._memory(
            kind=Kind.DECISION,
            ticker=subject(self.report.question.tickers),
            role="coordinator",
            model="+".join(leaning) or "none",
            evidence=(view.id,),
            parents=tuple(dict.fromkeys([*findings, *self._sources()])),
            claim=claim,
            text="",
            figures=figures,
            details={name: f"{view.id}.{'last_date' if name == 'made' else name}" for name in figures}
            | {f"model of {r}": m for r, m in self.models.items() if f"{r}_p_up" in figures},
        )
        answer = render(self.report.headline, self.report.by_id)
        yield memory.model_copy(update={"text": f"{memory.said} {answer}".strip()})

    def digest(self, read: Read) -> Memory:
        """A document's reading. Its words are kept to be searched, and never shown to a role."""
        document, market = read.document, read.reading.relevance is Relevance.MARKET
        return self._memory(
            kind=Kind.DIGEST,
            ticker=MARKET if market else read.company,
            role="reader",
            model=self.models["reader"],
            evidence=(),
            parents=(document.id,),
            source=document.publisher or f"document:{document.id}",
            trust=Trust.READ,
            claim=ON_MARKET if market else DIGEST,
            text=document.words[:LONGEST],
            figures={
                "ticker": Figure(value="the market" if market else read.company, unit=Unit.TEXT),
                "kind": Figure(value=document.kind, unit=Unit.TEXT),
                "made": Figure(value=document.published.isoformat(), unit=Unit.DATE),
                "tone": Figure(value=TONES[read.reading.tone], unit=Unit.SCORE),
            },
        )

    def _memory(self, **fields: object) -> Memory:
        shared = {
            "run": self.report.run,
            "as_of": self.as_of,
            "known_at": self.as_of + JUST_AFTER,
            "source": f"run:{self.report.run}",
            "trust": Trust.DESK,
        }
        return Memory.model_validate(shared | fields)

    def _own(self, claim: str) -> tuple[str, dict[str, Figure], dict[str, str]]:
        """The claim with references of its own, its figures, and the figure of the run that each is."""
        evidence, names = self.report.by_id, dict[str, str]()
        for eid, name in references(claim):
            if (origin := f"{eid}.{name}") not in names.values():
                names[_free(name, names)] = origin
        back = {origin: name for name, origin in names.items()}
        figures = {name: evidence[o.partition(".")[0]].figures[o.partition(".")[2]] for name, o in names.items()}
        made = Figure(value=AsOf.parse(self.report.as_of).date.isoformat(), unit=Unit.DATE)
        template = REFERENCE.sub(lambda m: f"{{M.{back[f'{m[1]}.{m[2]}']}}}", claim)
        return template, {"made": made, **figures}, names

    def _ticker(self, cited: Sequence[str]) -> str:
        """The ticker that all evidence of a claim is on, else the question's."""
        told = {f.value for eid in cited if (f := self.report.by_id[eid].figures.get("ticker"))}
        asked = self.report.question.tickers
        return str(told.pop()) if len(told) == 1 and told <= set(asked) else subject(asked)

    def _sources(self) -> tuple[str, ...]:
        """All that any role of the run was shown or read: its lean may rest on it though no claim of it is kept."""
        seats = range(len(ROLES[self.report.question.kind]))
        return (*self.remembered.ids, *(d for seat in seats for d in self._documents(seat)))

    def _shown(self, role: str) -> tuple[str, ...]:
        return tuple(i for e in self.remembered.evidence(role).values() for i in e.items)

    def _documents(self, seat: int) -> tuple[str, ...]:
        """The documents read in a seat's block of evidence."""
        mine = (e for e in self.report.evidence if e.id[0] == "E" and (int(e.id[1:]) - 1) // BLOCK == seat)
        read = (d for e in mine if e.tool == "read_documents" for d in e.arguments["documents"])
        return tuple(dict.fromkeys(map(str, read)))


def _free(name: str, taken: Mapping[str, str]) -> str:
    """*name*, or with a number where it is taken; `made` always is."""
    tries = [name, *(f"{name}_{i}" for i in range(2, 99))]
    return next(t for t in tries if t not in taken and t != "made")
