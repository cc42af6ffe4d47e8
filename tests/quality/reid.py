"""Part ``reid``: whether a recogniser finds a redacted face among the originals, and what an attacker adds to it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from farm.domain.geometry import Box
from farm.domain.options import RedactOptions, load_options
from tests.quality.averaging import averaged
from tests.quality.footage import Picture, annotated, footage_folder
from tests.quality.options import Options
from tests.quality.recognition import Found, Recogniser, Signatures, fitted, search, square_of
from tests.quality.redacting import Face, face_at_height, redacted
from tests.quality.report import Section, table

STYLES = ("blur", "pixelate", "solid")
HEIGHTS = (24, 48, 96, 200, 400)
#: Smaller faces are hardly recognised in the originals.
_SMALLEST = (32, 48)  # width, height
_GALLERY_HEIGHT = 112
#: Heights of the attacks that take long; the rest of the table shows that height hardly matters.
_ATTACKED = 96
_HEAD = ["", "found first", "95 % interval", "likeness", "at chance"]

#: A face to be looked for: the picture, and its box in it.
Subject = tuple[Picture, Box]
Shown = Callable[[Face], Face]


def measure(options: Options) -> Section:
    """The tables of re-identification."""
    folder = footage_folder()
    bench = Bench(Recogniser(folder), subjects(folder, options.limit))
    count = len(bench.subjects)
    heights = HEIGHTS[2:3] if options.limit else HEIGHTS
    plain = [_HEAD]
    for height in heights:
        for name, shown in (("compressed, not redacted", compressed), ("moved by 5 %, enlarged by 6 %", moved)):
            plain.append([f"{height} px: {name}", *bench.found(bench.cuts(height, shown)).cells])
        for style in STYLES:
            cuts = bench.cuts(height, hiding(style))
            plain.append([f"{height} px: `{style}`", *bench.found(cuts).cells])
            plain.append([f"{height} px: `{style}`, looked at from afar", *bench.found(map(softer, cuts)).cells])
    attacks = [_HEAD]
    for style in STYLES:
        attacks += [[f"`{style}`: {name}", *found.cells] for name, found in bench.attacks(style)]
    ran = (
        f"{count} annotated faces of at least {_SMALLEST[1]} pixels (WIDER FACE, dlib, kaggle), each looked for among "
        f"the {count} originals by MobileFaceNet (112 x 112): guessing finds {1 / count:.2%}. Faces are painted in "
        "yuv420p by the farm's redactors with the default margin, and not encoded; only what the cover replaces wholly "
        "is compared. *At chance*: guessing finds as many with a probability of at least 2.5 %. *From afar*: scaled "
        "down to 12 x 12 first, which smooths squares. The gallery holds the same photographs, so that the colours of "
        "a photograph count as a likeness of the face; *other light* gives the gallery another brightness, contrast "
        "and white balance."
    )
    return Section("reid", "Recognition of redacted faces", ran, [table(plain), _ATTACKS, table(attacks)])


_ATTACKS = (
    f"An attacker who knows the redaction, at {_ATTACKED} pixels. *Inverted*: the known filter undone (Wiener). "
    "*Averaged*: 24 frames of a track in which the face lies differently over the cover (boxes off by up to 4 %, and "
    "by parts of pixels), aligned and averaged. *Parrot* (McPherson, Shokri, Shmatikov 2016): the gallery is redacted "
    "in the same way; here it holds the same photographs, moved, enlarged and in other light, so it says what one "
    "photograph and its twin give away, not whether somebody is recognised on another day."
)


class Bench:
    """A recogniser, the faces, and the signatures of their originals."""

    def __init__(self, recogniser: Recogniser, faces: Sequence[Subject]) -> None:
        self.recogniser = recogniser
        self.subjects = faces
        self._gallery = recogniser.signatures(self.cuts(_GALLERY_HEIGHT, as_it_is))
        self._other_light = recogniser.signatures(self.cuts(_GALLERY_HEIGHT, relit()))

    def cuts(self, height: float, shown: Shown) -> list[Picture]:
        """All faces, shown like this at a height of so many pixels."""
        return [_cut(shown(face_at_height(picture, box, height))) for picture, box in self.subjects]

    def found(self, cuts: Iterable[Picture], gallery: Signatures | None = None) -> Found:
        """How many of the faces are found among the originals."""
        return search(self.recogniser.signatures(cuts), self._gallery if gallery is None else gallery)

    def attacks(self, style: str) -> list[tuple[str, Found]]:
        """What is found by attackers who know the style; each by its name."""
        hidden, options, light = hiding(style), options_of(style), relit()
        cuts = self.cuts(_ATTACKED, hidden)
        parrot = self.recogniser.signatures(self.cuts(_ATTACKED, lambda face: hidden(light(moved(face)))))
        found = [
            ("other light", self.found(cuts, self._other_light)),
            ("other light, looked at from afar", self.found(map(softer, cuts), self._other_light)),
            ("inverted", self.found(self.cuts(_ATTACKED, lambda face: inverted(hidden(face))))),
            ("parrot", self.found(cuts, parrot)),
        ]
        if style == "solid":
            return found
        tracks = [
            averaged(picture, box, _ATTACKED, options, seed=number)
            for number, (picture, box) in enumerate(self.subjects)
        ]
        cuts = [_cut(track) for track in tracks]
        return [
            *found,
            ("averaged", self.found(cuts)),
            ("averaged, looked at from afar", self.found(map(softer, cuts))),
            ("averaged and inverted", self.found(_cut(inverted(track)) for track in tracks)),
        ]


def _cut(face: Face) -> Picture:
    return face.cut(square_of(face.box, _MARGIN))


def subjects(folder: Path, limit: int) -> list[Subject]:
    """The annotated faces that lie wholly inside their pictures and are large enough; at most ``limit`` unless 0."""
    found: list[Subject] = []
    for picture in annotated(folder):
        boxes = [b for b in picture.boxes if b.w >= _SMALLEST[0] and b.h >= _SMALLEST[1] and min(b.x, b.y) >= 0]
        if boxes and (not limit or len(found) < limit):
            pixels = picture.read()
            found += [(pixels, box) for box in boxes]
    return found[: limit or None]


def options_of(style: str) -> RedactOptions:
    """The default options of redaction with another style."""
    return load_options({"redact": {"style": style}}).redact


_MARGIN = options_of("blur").margin


def hiding(style: str) -> Shown:
    """Redaction by ``style``."""
    options = options_of(style)
    return lambda face: redacted(face, options)


def as_it_is(face: Face) -> Face:
    """The face itself."""
    return face


def compressed(face: Face) -> Face:
    """The control: the picture as a JPEG of quality 60."""
    _, data = cv2.imencode(".jpg", face.picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return Face(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), face.box)


def moved(face: Face) -> Face:
    """The second control: compressed, and the box of another detector."""
    box = face.box
    other = Box(box.x + 0.05 * box.w, box.y - 0.04 * box.h, 1.06 * box.w, 1.06 * box.h)
    return Face(compressed(face).picture, other)


def relit() -> Shown:
    """Another brightness, contrast and white balance for every face; the same ones in every call of this."""
    rng = np.random.default_rng(1)

    def shown(face: Face) -> Face:
        power, gain = rng.uniform(0.75, 1.33), rng.uniform(0.7, 1.2) * rng.uniform(0.85, 1.18, 3)
        light = 255 * (face.picture / 255) ** power * gain
        return Face(np.clip(light, 0, 255).astype(np.uint8), face.box)

    return shown


def softer(cut: Picture) -> Picture:
    """A face seen from so far away that 12 x 12 pixels of it remain."""
    return fitted(np.asarray(cv2.resize(cut, (12, 12), interpolation=cv2.INTER_AREA), np.uint8))


def inverted(face: Face, *, deviation: float = 1 / 3, noise: float = 1e-3) -> Face:
    """The redaction's Gaussian of ``deviation`` short sides undone by a Wiener filter, as far as rounding lets it."""
    pad = face.picture.shape[0] // 4
    wide = cv2.copyMakeBorder(face.picture, pad, pad, pad, pad, cv2.BORDER_REFLECT).astype(np.float64)
    rows, columns = wide.shape[:2]
    squares = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns)[None] ** 2
    passed = np.exp(-2 * (np.pi * deviation * min(face.box.w, face.box.h)) ** 2 * squares)
    gain = (passed / (passed**2 + noise))[:, :, None]
    mean = wide.mean(axis=(0, 1))
    spectrum = np.fft.rfft2(wide - mean, axes=(0, 1))
    sharp = np.fft.irfft2(spectrum * gain, (rows, columns), axes=(0, 1)) + mean
    return Face(np.clip(sharp[pad:-pad, pad:-pad], 0, 255).astype(np.uint8), face.box)
