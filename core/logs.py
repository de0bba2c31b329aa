"""Logs, set up once: on stderr, readable in a terminal and JSON elsewhere, each line with its run id."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import structlog


def configure(level: str) -> None:
    """Send structlog to stderr at *level* and above."""
    terminal = sys.stderr.isatty()
    plain = structlog.dev.plain_traceback  # without the values of variables, which may hold data or keys
    console, lines = structlog.dev.ConsoleRenderer(exception_formatter=plain), structlog.processors.JSONRenderer()
    last: Any = console if terminal else lines
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *([] if terminal else [structlog.processors.format_exc_info]),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )


@contextmanager
def configured(level: str) -> Generator[None]:
    """Have it so for the length of a `with`, and leave it as it was."""
    before: dict[str, Any] = structlog.get_config()
    configure(level)
    try:
        yield
    finally:
        structlog.configure(**before)


def _Stderr(*_: object) -> structlog.PrintLogger:  # structlog calls it like a class
    """A logger on whatever stderr is at that moment, so that a captured or closed one is not kept."""
    return structlog.PrintLogger(sys.stderr)
