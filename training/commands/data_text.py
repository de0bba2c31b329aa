"""A data set in words for a person."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from textwrap import wrap

from openoutcry.training.examples.dataset import PARTS, Dataset, Manifest
from openoutcry.training.examples.rows import Chat, Message, Row, Tone

WIDTH = 160
"""Characters of a text that are shown."""
LINE = 100
"""Characters of a line that is wrapped."""
LEARNT = {"chat": "conversations", "tone": "texts with a tone", "pairs": "pairs of texts"}


def row(manifest: Manifest) -> str:
    """A data set in one line."""
    counts = " + ".join(f"{manifest.rows[part]:,}" for part in PARTS)
    sources = ", ".join(f"{name} {count:,}" for name, count in manifest.sources.items())
    return (
        f"{manifest.digest[:12]}  {manifest.role:<11} {counts:>13} {LEARNT[manifest.kind]}  {sources}  "
        f"{_moment(manifest.made)}"
    )


def summary(found: Dataset) -> Iterator[str]:
    """The manifest, a fact a line."""
    manifest = found.manifest
    yield f"data set {manifest.digest[:12]} for {manifest.role}: {LEARNT[manifest.kind]}"
    yield f"  rows      {manifest.rows['train']:,} to train by, {manifest.rows['valid']:,} to validate by"
    yield f"  sources   {', '.join(f'{name} {count:,}' for name, count in manifest.sources.items())}"
    by = "by digest: all are known at one moment"
    if manifest.split:
        by = f"at {_moment(manifest.split)}: rows to train by are known by then, rows to validate by from then on"
    yield f"  parted    {by}"
    for reason, count in manifest.left_out.items():
        yield f"  left out  {count:,}: {reason}"
    compared = f"  compared  with {_compared(manifest.compared)}"
    yield from wrap(compared, LINE, subsequent_indent=" " * 12, break_on_hyphens=False)
    for name, sha in manifest.files.items():
        yield f"  sha256    {sha}  {name}"
    yield f"  folder    {found.folder}"


def sample(found: Dataset, rows: int) -> Iterator[str]:
    """The first rows of each part."""
    for part in PARTS:
        for one, _ in zip(found.read(part), range(rows), strict=False):
            yield ""
            yield f"{part} {one.id}  {one.source}  known {one.known_at:%Y-%m-%d %H:%M}"
            yield from _lines(one)


def _moment(given: str) -> str:
    """An ISO time as a person reads it."""
    return f"{datetime.fromisoformat(given):%Y-%m-%d %H:%M} UTC"


def _compared(suites: Sequence[str]) -> str:
    """The sets by their rotations, and the suites that all of them were looked through in."""
    sets = dict.fromkeys(name.partition(" ")[2] for name in suites)
    return f"{', '.join(sets)} of {', '.join(dict.fromkeys(name.partition(' ')[0] for name in suites))}"


def _lines(one: Row) -> Iterator[str]:
    if isinstance(one, Tone):
        yield f"  {one.label:<10} {_cut(one.text)}"
    elif isinstance(one, Chat):
        yield f"  tools      {', '.join(tool['function']['name'] for tool in one.tools) or 'none'}"
        yield from map(_message, one.messages)
    else:
        yield f"  anchor     {_cut(one.anchor)}"
        yield f"  positive   {_cut(one.positive)}"


def _message(message: Message) -> str:
    calls = "; ".join(f"{c['function']['name']}({c['function']['arguments']})" for c in message.get("tool_calls", ()))
    told = " ".join(text for text in (message.get("content") or "", calls) if text)
    return f"  {message['role']:<10} {_cut(told)}{'  (not learnt)' if message.get('weight', 1) == 0 else ''}"


def _cut(text: str) -> str:
    """The beginning of a text on one line; a character that a terminal would obey is written out."""
    plain = "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)
    return plain if len(plain) <= WIDTH else f"{plain[: WIDTH - 3]}..."
