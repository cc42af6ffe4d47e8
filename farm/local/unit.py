"""The systemd user unit that ``farm up --print-unit`` prints."""

import os
from collections.abc import Sequence

from farm.configuration import SECRETS, settings_file, variable
from farm.processes import environment
from farm.settings import Settings
from farm.supervision import FINAL

_UNIT = """\
# ~/.config/systemd/user/blurfarm.service
#   systemctl --user daemon-reload && systemctl --user enable --now blurfarm
#   loginctl enable-linger        starts it at boot, and keeps it after you log out
{notes}[Unit]
Description=Blur Farm in {home}

[Service]
Type=exec
{environment}
ExecStart={command}
# the main process drains the workers and stops the rest; what is left after the timeout is killed
KillMode=mixed
TimeoutStopSec={timeout:.0f}
Restart=on-failure
RestartSec=5
# another start does not help: a setting, a device, a program
RestartPreventExitStatus={final}

[Install]
WantedBy=default.target
"""


def systemd_unit(settings: Settings, command: Sequence[str], drain: float) -> str:
    """The unit that runs ``command`` with this process's settings and PATH. Secrets are left out.

    ``drain``: the seconds in which the farm finishes what is under way.
    """
    secrets, all_ = [variable(name) for name in SECRETS], environment(settings.home, settings.for_children())
    given = {name: value for name, value in all_.items() if name.startswith("FARM_") and name not in secrets}
    given["PATH"] = os.environ.get("PATH", os.defpath)
    left_out = [name for name in secrets if name in os.environ]
    return _UNIT.format(
        notes="".join(f"# {name} may hold a password: put it into {settings_file()}\n" for name in left_out),
        home=_plain(str(settings.home)),
        environment="\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(given.items())),
        command=" ".join(_quoted(word).replace("$", "$$") for word in command),
        timeout=drain + 70,
        final=" ".join(map(str, sorted(FINAL))),
    )


def _plain(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(word: str) -> str:
    """A word as systemd.syntax(7) reads it back."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'
