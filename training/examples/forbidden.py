"""Texts that must never be learnt from, such as those of a set for evaluation only, and whether a row holds one."""

from collections.abc import Sequence
from pathlib import Path

from openoutcry.core.errors import BadFile, UsageError
from openoutcry.eval import corpus
from openoutcry.training.examples.rows import Row, texts

READABLE = (".jsonl", ".json", ".csv", ".txt", ".md")
"""Files whose texts `eval.corpus` reads."""
TELLING = 6
"""Words of a text by which it is known again: fewer are everybody's."""
STANDS = "its text stands in a folder of --never"


def forbidden(never: Sequence[Path]) -> list[str]:
    """Each text in these folders or files that is long enough to be known again, with the blanks around it.

    Raises UsageError where there is none to read.
    """
    found: set[str] = set()
    for folder in never:
        files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else [folder]
        readable = [p for p in files if p.suffix in READABLE] if folder.is_dir() else files
        if not readable:
            raise UsageError(f"--never {folder}: expected files of texts ({', '.join(READABLE)}), found none")
        try:
            lines = (line for p in readable for _, text in corpus.texts(p) for line in text.split("\n"))
            found |= {plain for line in lines if len((plain := _plain(line)).split()) >= TELLING}
        except BadFile as error:
            raise UsageError(f"--never {folder}: {error}") from None
    return sorted(found)


def holds(row: Row, forbidden: Sequence[str]) -> bool:
    """Whether a text of *forbidden* stands in the row."""
    whole = _plain(" ".join(texts(row)))
    return any(text in whole for text in forbidden)


def _plain(text: str) -> str:
    """Its words in lower case with a blank around each: what is put between them makes no other text of it."""
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
    return f" {' '.join(words)} "
