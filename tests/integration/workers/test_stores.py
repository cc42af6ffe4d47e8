"""All stages over a store that holds no files: the results are those of the store in a folder."""

from pathlib import Path

from farm.domain.options import RedactOptions
from farm.messages import Artefact
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools
from tests.memory_store import MemoryStorage
from tests.planned import masked
from workers.stages.compose import run as run_compose
from workers.stages.redact import run as run_redact


def trip(made: Bench) -> list[Artefact]:
    """Detect, link, redact and compose; the artefacts of all stages."""
    chunks = range(len(made.manifest.chunks))
    found = [made.detect(k).artefact for k in chunks]
    masks = masked(made.store, made.manifest, made.options, found)
    orders = [made.order("redact", k, (masks[k],)) for k in chunks]
    segments = tuple(run_redact(order, made.store, StubTools(), lambda _: None).artefact for order in orders)
    order = made.order("compose", 0, segments, "mp4")
    composed = run_compose(order, made.store, StubTools(), lambda _: None).artefact
    again = run_compose(order.model_copy(update={"known": composed}), made.store, StubTools(), lambda _: None)
    assert (again.reused, again.artefact) == (True, composed)
    return [*found, *masks, *segments, composed]


def test_a_store_in_memory_gives_what_a_store_in_a_folder_gives(
    bench: MakeBench, green_clip: GreenClip, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    memory = MemoryStorage(scratch)
    # not H.264: x264 reads memory that it did not set, so that equal frames may become different bytes
    redact = RedactOptions(codec="mpeg4")
    in_memory = trip(bench(green_clip(), redact=redact, store=memory))
    assert len(in_memory) == 3 * 2 + 1  # two chunks
    assert in_memory == trip(bench(green_clip(), redact=redact))
    assert list(scratch.iterdir()) == []
