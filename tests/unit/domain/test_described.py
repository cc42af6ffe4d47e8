import re
from math import inf
from pathlib import Path

import pytest

from farm.domain.described import Anchors, Grid, Ready, described

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "bring-a-detector.md"
SIMPLE = """
[input]
size = "any"
channels = "RGB"
[boxes]
output = "boxes"
form = "ready"
box = "corners"
[scores]
output = "scores"
classes = ["background", "face", "plate"]
[thresholds]
face = 0.5
plate = [[16, 0.3], [inf, 0.4]]
"""


def examples() -> dict[str, str]:
    blocks = re.findall(
        r"^```toml\n(# (\S+)\.toml\n.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return {name: text for text, name in blocks}


def test_what_is_not_said() -> None:
    found = described(SIMPLE)
    assert (found.size, found.multiple, found.layout) == (None, 32, "NCHW")
    assert (found.mean, found.scale) == ((0, 0, 0), (1, 1, 1))
    assert found.decoding == Ready("corners", "pixels")
    assert (found.classes, found.kinds) == (("background", "face", "plate"), ("face", "plate"))
    assert found.thresholds == {"face": ((inf, 0.5),), "plate": ((16, 0.3), (inf, 0.4))}
    assert found.objectness is None


def test_the_examples_of_the_documentation() -> None:
    found = {name: described(text).decoding for name, text in examples().items()}
    assert found == {
        "retinaface_mobilenet0.25": Anchors((8, 16, 32), ((16, 32), (64, 128), (256, 512)), (0.1, 0.2)),
        "ultralight_RFB-640-masked_face-v2": Ready("corners", "share"),
        "yunet_n_dynamic": Grid((8, 16, 32), 1, 0.0, "offset"),
    }


def test_the_documentation_names_every_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    grid = SIMPLE.replace('"ready"', '"grid"').replace('"corners"', '"offset"\nsteps = [8]')
    anchors = SIMPLE.replace('"ready"\nbox = "corners"', '"anchors"\nsteps = [8]\nsizes = [[8]]')
    keys = set()
    for text in (SIMPLE, grid, anchors):
        for table in ("input", "boxes", "scores"):
            with pytest.raises(ValueError, match="no such key; there are ") as e:
                described(text.replace(f"[{table}]", f"[{table}]\nother = 1"))
            names = str(e.value).rpartition("there are ")[2]
            keys |= {f"{table}.{name}" for name in re.split(", | or ", names)}
    assert len(keys) > 15
    assert {key for key in keys if f"`{key}`" not in page} == set()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[input]", "[input", "no TOML: "),
        ('size = "any"', "", "input.size is missing"),
        ('size = "any"', "size = [640]", r"input.size: write \[width, height\], or 'any'"),
        ('size = "any"', "size = [640, -1]", "input.size: write a whole number from 1 to 8192"),
        ('"RGB"', '"HSV"', "input.channels: write one of 'BGR' or 'RGB'"),
        ('"RGB"', '"RGB"\nmean = [1, 2]', "input.mean: write one number, or one for each"),
        ('"RGB"', '"RGB"\nscale = "big"', "input.scale: write a number"),
        ('"RGB"', '"RGB"\nmeen = 3', "input.meen: no such key; there are channels, layout"),
        ("[input]", "[inputs]", "inputs: no such key; there are boxes, input"),
        ('"ready"', '"anchors"', "boxes.steps is missing"),
        (
            '"ready"',
            '"anchors"\nsteps = [8, 16]\nsizes = [[8]]',
            "boxes.sizes: give as many lists as there are steps, 2",
        ),
        ('"ready"', '"ready"\ncolumns = [4, 2]', "boxes.columns: write the first column"),
        ('"ready"', '"ready"\ntransposed = 1', "boxes.transposed: write true or false"),
        ('"ready"', '"ready"\noverlap = 1', "boxes.overlap: write a number between 0 and 1"),
        ('output = "boxes"', "output = []", "boxes.output: write a name in quotes"),
        ('"plate"]', '"face"]', "scores.classes: name each once"),
        ('"plate"]', '"plate"]\nfind = "hand"', "scores.find: choose from the classes, background, face or plate"),
        ("face = 0.5", "", "thresholds.face is missing"),
        ("face = 0.5", "face = 5", "thresholds.face: write a number between 0 and 1"),
        ("[inf, 0.4]", "[12, 0.4]", "thresholds.plate: heights must ascend and end with inf"),
        ("[inf, 0.4]", "7", "thresholds.plate: write a number, or"),
        ("face = 0.5", "face = 0.5\nhand = 0.5", "thresholds.hand: no such key; there are face or plate"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(old: str, new: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}") as e:
        described(SIMPLE.replace(old, new, 1))
    assert "\n" not in str(e.value)
