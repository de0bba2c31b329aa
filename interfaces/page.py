"""The report as a page: one HTML document that needs nothing else, or a fragment of it for a notebook."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from openoutcry.core.claims import render, segments
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Report
from openoutcry.interfaces.charts import pictures
from openoutcry.interfaces.text import LEANS, STATES, route, verdict, weights
from openoutcry.interfaces.text import report as written

if TYPE_CHECKING:
    from jinja2 import Environment

# Draws what is not drawn yet, so that many fragments can live in one notebook; a click on a figure opens
# the evidence that it points into, which not every browser does by itself.
DRAW = """
setTimeout(() => {
  const options = {displayModeBar: false, displaylogo: false, responsive: true};
  for (const plot of document.querySelectorAll(".openoutcry .oo-plot:empty")) {
    const figure = JSON.parse(plot.nextElementSibling.textContent);
    Plotly.newPlot(plot, figure.data, figure.layout, options);
  }
  for (const link of document.querySelectorAll(".openoutcry a.oo-ref")) {
    const entry = document.getElementById(link.getAttribute("href").slice(1));
    link.addEventListener("click", () => { entry.closest("details").open = true; });
  }
});
"""


class Piece(NamedTuple):
    """A part of a sentence: words, or the digits of a reference with what its tooltip says."""

    text: str
    reference: str = ""
    unit: str = ""
    origin: str = ""


class Shown(Report):
    """A report that a notebook shows as a page, and `print` as the terminal does."""

    @classmethod
    def of(cls, report: Report) -> Self:
        """The same report, able to show itself."""
        return cls.model_construct(**{name: getattr(report, name) for name in Report.model_fields})

    def _repr_html_(self) -> str:
        return fragment(self)

    def __str__(self) -> str:
        """As the terminal shows it."""
        return written(self)


def page(report: Report) -> str:
    """One HTML document with the report, its pictures and its evidence. It fetches nothing and may not."""
    context = _context(report)
    return templates().get_template("report.html.j2").render(context, policy=policy(context["scripts"]))


def fragment(report: Report) -> str:
    """The body of `page`, styles and scripts included, under the class `openoutcry` and with ids of its own."""
    return templates().get_template("fragment.html.j2").render(_context(report), prefix=f"{report.run}-")


def policy(scripts: Sequence[str]) -> str:
    """The content security policy that lets exactly these inline scripts run, and nothing be fetched."""
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    rules = (
        "default-src 'none'",
        f"script-src {allowed}",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def pieces(text: str, evidence: Mapping[str, Evidence]) -> list[Piece]:
    """The sentence cut where its digits are, each with where it comes from."""
    return [
        _cited(words, reference, evidence) if reference else Piece(words)
        for words, reference in segments(text, evidence)
    ]


def _cited(digits: str, reference: str, evidence: Mapping[str, Evidence]) -> Piece:
    eid, _, name = reference.partition(".")
    source = evidence[eid]
    figure = source.figures[name]
    exact = "" if isinstance(figure.value, str) else f", exactly {figure.value!r}"
    return Piece(digits, reference, figure.unit.value, f"{reference}: {source.tool}{exact}")


def _context(report: Report) -> dict[str, Any]:
    evidence, drawn = report.by_id, pictures(report)
    view = evidence.get(report.view)
    return {
        "report": report,
        "route": route(report),
        "prefix": "",
        "sides": _sides(view),
        "weights": weights(view) if view else "",
        "refused": [f"{n.tool}{f' of {n.ticker}' if n.ticker else ''}: {n.reason}" for n in report.not_computed],
        "dropped": [f"{d.role} said {d.claim!r}: {d.reason}" for d in report.dropped],
        "leans": LEANS,
        "states": STATES,
        "verdict": verdict,
        "pictures": drawn,
        "scripts": scripts() if drawn else (),
        "pieces": partial(pieces, evidence=evidence),
        "plain": partial(render, evidence=evidence),
    }


def _sides(view: Evidence | None) -> list[tuple[str, str]]:
    """Each role that takes a side, and the reference of its probability."""
    names = [name for name in view.figures if name.endswith("_p_up")] if view else []
    return [(name.removesuffix("_p_up"), f"{{{view.id}.{name}}}") for name in names if view]


def scripts() -> tuple[str, str]:
    """Plotly, then the few lines that call it: what a page with pictures runs."""
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingTypeStubs] plotly ships no types

    return get_plotlyjs(), DRAW


def templates() -> "Environment":
    """The house's templates; all that is put in is escaped, and what is not there is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_function"] = _encoded
    return templates


def _encoded(figure: Any, **_: object) -> str:
    """JSON by plotly, which knows its figures and never writes NaN; the filter `tojson` then escapes it."""
    return figure.to_json()
