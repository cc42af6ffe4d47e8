"""Only who has the key can write a message that is believed, and only for the queue that it is signed for."""

import json
import logging
import os
import pickle
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.broker import celery_app
from farm.errors import SettingsError
from farm.settings import Settings
from farm.signing import Forged, Signer, make_key, own_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SIGNER = Signer(b"k" * 32)


@given(JSON, st.text())
def test_what_was_signed_is_opened_unchanged_after_the_wire(body: object, queue: str) -> None:
    envelope = json.loads(json.dumps(SIGNER.sign(body, queue)))
    assert SIGNER.open(envelope, queue) == body


@given(JSON, st.text(max_size=8), st.text(max_size=8), st.data())
def test_nothing_else_is_opened(body: object, queue: str, other: str, data: st.DataObject) -> None:
    envelope = SIGNER.sign(body, queue)
    text, mac = envelope["signed"], envelope["mac"]
    at = data.draw(st.integers(0, len(text)))
    forgeries: list[object] = [
        {**envelope, "signed": text[:at] + " " + text[at:]},
        {**envelope, "mac": mac[:-1] + ("0" if mac[-1] != "0" else "1")},
        {**envelope, "mac": ""},
        {**envelope, "mac": "é" * 64},
        {"signed": body, "mac": mac},
        body,
        text,
        None,
    ]
    for forgery in forgeries:
        with pytest.raises(Forged):
            SIGNER.open(forgery, queue)
    with pytest.raises(Forged):
        Signer(b"l" * 32).open(envelope, queue)
    if other != queue:
        with pytest.raises(Forged):
            SIGNER.open(envelope, other)


def test_purpose_and_text_are_kept_apart() -> None:
    one = SIGNER.sign("a", "outcomes")
    with pytest.raises(Forged):
        SIGNER.open({"signed": one["signed"][1:], "mac": one["mac"]}, 'outcomes "')


def test_a_key_is_made_once_for_its_user_only(tmp_path: Path) -> None:
    path, old = tmp_path / "new" / "farm.key", os.umask(0)
    try:
        made: list[bool] = []
        threads = [threading.Thread(target=lambda: made.append(make_key(path))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.umask(old)
    assert sorted(made) == [False] * 7 + [True]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    first = path.read_bytes()
    assert own_key(path) is None
    assert path.read_bytes() == first


@pytest.mark.parametrize("content", [b"", b"\n", b"c2hvcnQ=\n", b"no base64!\n", b"\xff" * 44, b"A" * 5000])
def test_a_file_without_a_key_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "farm.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=rf"^the key file {path} holds no key: .*`farm key`"):
        Signer.load(path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o604])
def test_a_key_that_others_can_read_is_refused_in_one_line(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "farm.key"
    make_key(path)
    path.chmod(mode)
    with pytest.raises(SettingsError, match=rf"{path} can be read or written by other users .*chmod 600 '{path}'"):
        Signer.load(path)
    path.chmod(0o600)
    Signer.load(path)


def test_a_folder_a_pipe_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name, why in (("pipe", "no key"), ("folder", "cannot be read"), ("none", "there is no key file")):
        with pytest.raises(SettingsError, match=why):
            Signer.load(tmp_path / name)


@pytest.mark.parametrize(("content", "mode"), [(b"", 0o600), (b"rubbish", 0o600), (None, 0o644)])
def test_the_key_of_a_farm_on_one_machine_is_replaced_where_it_cannot_be_used(
    tmp_path: Path, content: bytes | None, mode: int
) -> None:
    path = tmp_path / "farm.key"
    make_key(path)
    before = path.read_bytes()
    if content is not None:
        path.write_bytes(content)
    path.chmod(mode)
    told = own_key(path)
    assert told is not None
    assert told.endswith(": it was replaced by a new key")
    assert str(path) in told
    assert path.read_bytes() != before
    Signer.load(path)


def test_the_key_is_in_nothing_that_is_printed_pickled_or_configured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings(home=tmp_path)
    make_key(settings.key_path)
    signer, key = Signer.load(settings.key_path), settings.key_path.read_text().strip()
    envelope = signer.sign({}, "outcomes")
    with celery_app(settings) as app:
        seen = [repr(signer), str(signer), signer.name, repr(settings), repr(envelope), caplog.text, repr(app.conf)]
    seen += [str(settings.for_children(database=True)), pickle.dumps(settings).decode("latin1")]
    assert not any(key[:12] in text for text in seen)
    assert signer.name != Signer(b"k" * 32).name


def test_signing_costs_microseconds(tmp_path: Path) -> None:
    """Thousands of messages a second: a job has ten messages per chunk."""
    order = {"inputs": [{"key": "k" * 80, "sha256": "0" * 64, "size": n, "frames": 1} for n in range(10)]}
    began = time.process_time()
    for _ in range(500):
        SIGNER.open(SIGNER.sign(order, "worker:cpu0@host"), "worker:cpu0@host")
    assert (time.process_time() - began) / 500 < 0.002
