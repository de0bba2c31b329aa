"""A conversation in the terminal: follow-ups keep ticker, kind, horizon and as-of; answers appear as they are found."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from openoutcry.agents.flow import Step
from openoutcry.core.errors import OutcryError
from openoutcry.core.report import Finding, Question, Report
from openoutcry.interfaces import text

HELP = """\
Ask about a ticker: risk over a horizon, valuation, news, an overview, or two tickers compared.
A follow-up keeps what it leaves open: "and over 20 days?", "what about MSFT?".
  /as-of 2022-06-30   move the clock      /clear   forget the last question
  /help               this                /quit    leave (or Ctrl-D)"""


class Asks(Protocol):
    """What the chat needs of a desk."""

    async def ask(
        self, text: str, as_of: str | None = None, *, previous: Question | None = None, watch: Callable[[Step], None]
    ) -> Report:
        """Answer a question."""
        ...


class Chat:
    """One conversation. `say` gets each piece of text as soon as it stands."""

    def __init__(self, desk: Asks, say: Callable[[str], None], as_of: str | None = None) -> None:
        self._desk = desk
        self._say = say
        self.as_of = as_of
        self.previous: Question | None = None

    def turn(self, line: str) -> bool:
        """Take one line; False ends the conversation. An error is told, and the conversation goes on."""
        line = line.strip()
        match line.split(maxsplit=1):
            case []:
                pass
            case ["/quit" | "/exit" | "quit" | "exit"]:
                return False
            case ["/clear"]:
                self.previous = None
                self._say("Forgotten: the next question starts afresh.")
            case ["/as-of", moment]:
                self._move(moment)
            case [command, *_] if command.startswith("/"):
                self._say(HELP)
            case _:
                self._ask(line)
        return True

    def _move(self, moment: str) -> None:
        from openoutcry.core.clock import AsOf

        try:
            self.as_of = str(AsOf.parse(moment))
        except OutcryError as error:
            self._say(str(error))
        else:
            self._say(f"The clock stands at {self.as_of}.")

    def _ask(self, line: str) -> None:
        from openoutcry.agents.amounts import as_of_in

        try:
            as_of = as_of_in(line) or self.as_of
            answer = asyncio.run(self._desk.ask(line, as_of, previous=self.previous, watch=self._watch))
        except OutcryError as error:
            self._say(text.wrap(str(error)))
            return
        if answer.declined:
            self._say(text.wrap(answer.declined))
            return
        self.previous, self.as_of = answer.question, answer.as_of
        for piece in (*text.answer_lines(answer), *text.left_out(answer), "", answer.notice):
            self._say(text.wrap(piece) if piece is answer.notice else piece)
        self._say(f"(as of {answer.as_of}, run {answer.run})")

    def _watch(self, step: Step) -> None:
        """Print a role's claims the moment that it ends, while the others still work."""
        if isinstance(step.result, Finding):
            for claim in step.result.claims:
                self._say(text.claim(claim, dict(step.evidence), f"{step.role}: "))
        elif step.result is not None:
            self._say(text.wrap(f"{step.role}: no finding: {step.result.reason}"))
