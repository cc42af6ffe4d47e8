"""The systemd user unit that ``farm up --print-unit`` prints."""

import os
from collections.abc import Sequence

from farm.errors import DeviceError, SettingsError
from farm.settings import Settings

#: Settings that may hold a password: they are not printed.
_SECRETS = ("FARM_BROKER_URL", "FARM_DATABASE_URL", "FARM_FLOWER_BASIC_AUTH")
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
# another start does not help: a setting, a device
RestartPreventExitStatus={final}

[Install]
WantedBy=default.target
"""


def systemd_unit(settings: Settings, command: Sequence[str], drain: float) -> str:
    """The unit that runs ``command`` with this process's settings and PATH. Secrets are left out.

    ``drain``: the seconds in which the farm finishes what is under way.
    """
    given = {name: value for name, value in os.environ.items() if name.startswith("FARM_") and name not in _SECRETS}
    given |= {"FARM_HOME": str(settings.home), "PATH": os.environ.get("PATH", os.defpath)}
    left_out = [name for name in _SECRETS if name in os.environ]
    return _UNIT.format(
        notes="".join(f"# {name} may hold a password: put it into {settings.home}/farm.toml\n" for name in left_out),
        home=_plain(str(settings.home)),
        environment="\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(given.items())),
        command=" ".join(_quoted(word).replace("$", "$$") for word in command),
        timeout=drain + 70,
        final=" ".join(str(kind.exit_code) for kind in (SettingsError, DeviceError)),
    )


def _plain(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(word: str) -> str:
    """A word as systemd.syntax(7) reads it back."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'
