"""A systemd unit that keeps the night: rendered for the Python and the folders of this installation."""

from collections.abc import Sequence
from pathlib import Path

from openoutcry.core.errors import UsageError

NAME = "outcry-night.service"
GRACE = 120
"""Seconds that a stage has to stop in: it goes on from its last checkpoint."""


def render(python: str, folder: Path, arguments: Sequence[str]) -> str:
    """The unit, for `systemctl --user`. *python* runs the night in *folder*, under *arguments* of `outcry`.

    It is hardened by what a service of a person may ask for and a fine-tune survives: devices stay, for the GPU, and so
    does memory that is written and run, which compilers of kernels need. Raises UsageError for a path that systemd
    does not take.
    """
    if odd := [path for path in (python, str(folder)) if set(path) & set("\"'\\\n")]:
        raise UsageError(
            f"expected a path without quotes, backslashes and line breaks, which systemd refuses; got {odd[0]}"
        )
    command = [python, "-m", "openoutcry.cli", *arguments, "night", "start"]
    return f"""\
[Unit]
Description=Open Outcry at night: prepare, tune, validate, deploy
StartLimitIntervalSec=3600
StartLimitBurst=20

[Service]
Type=exec
WorkingDirectory={_path(folder)}
ExecStart=:{" ".join(map(_word, command))}
Restart=on-failure
RestartSec=30
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={GRACE}
OOMPolicy=continue
Nice=10
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def _word(text: str) -> str:
    """A word of a command line as systemd reads it back; after a colon, dollar signs mean nothing there."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped}"' if not text or any(c in text for c in " \t\n'\"\\;") else escaped


def _path(path: Path) -> str:
    """A path alone on its line: nothing but the percent sign is read there."""
    return str(path).replace("%", "%%")
