"""A home on a network file system: refused for SQLite, whose locks do not hold there."""

from pathlib import Path

import pytest

from farm.configuration import network_filesystem
from farm.errors import SettingsError
from farm.settings import load_settings

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
31 30 8:1 / /home/local\\040disk rw - xfs /dev/sdb rw
32 22 0:41 / /share rw - cifs //server/share rw
33 22 0:42 / /twice rw - nfs server:/ rw
34 22 0:43 / /twice rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/farm", None),
        ("/home/ann/.local/share/blurfarm", "nfs4"),
        ("/home/local disk/farm", None),
        ("/homes", None),
        ("/share", "cifs"),
        ("/twice/farm", None),
    ],
)
def test_sqlite_is_refused_where_its_locks_do_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, kind: str | None
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr("farm.configuration._MOUNTS", tmp_path / "mountinfo")
    assert network_filesystem(Path(folder)) == kind
    if kind:
        with pytest.raises(
            SettingsError, match=rf"{folder} is on .*\({kind}\).*FARM_HOME.*FARM_DATABASE_URL.*PostgreSQL"
        ):
            load_settings(home=Path(folder)).make_home()
        with pytest.raises(SettingsError, match=kind):
            load_settings(home=tmp_path, database_url=f"sqlite:///{folder}/farm.db").make_home()


def test_with_postgresql_the_home_may_be_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mountinfo").write_text("22 1 254:0 / / rw - nfs server:/ rw\n")
    monkeypatch.setattr("farm.configuration._MOUNTS", tmp_path / "mountinfo")
    load_settings(home=tmp_path, database_url="postgresql+psycopg://farm@db/farm").make_home()
