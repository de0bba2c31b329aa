"""Words of others, made fit for a terminal."""

import unicodedata


def harmless(text: str) -> str:
    """The text with every character that a terminal would obey, or that hides or turns others, written out.

    An escape becomes `\\x1b` and a mark that turns the direction `\\u202e`; line breaks stay, other blanks are spaces.
    """
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def _shown(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
