"""Pictures for the style ``image``: checked, written anew in one form, and kept in the store by what they are."""

import hashlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from farm.domain.artefacts import image_name, is_image, key_of
from farm.domain.options import IMAGE, Look, RedactOptions
from farm.errors import SettingsError
from farm.storage.base import Storage

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
#: The largest file and picture that are read, in bytes and pixels; the longest side that is kept.
_BYTES, _PIXELS, _SIDE = 20_000_000, 50_000_000, 1024


@dataclass(frozen=True, slots=True)
class KeptImage:
    """A picture as a PNG file of red, green, blue and alpha, upright; ``key``: in the store."""

    key: str
    content: bytes


def read_image(path: Path) -> KeptImage:
    """The picture in a file. Raises SettingsError, with a line for the user, for what cannot be laid over a face."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device has no end
            raise SettingsError(f"{path} is no file", hint="name a PNG, JPEG or WebP file")
        if path.stat().st_size > _BYTES:
            raise SettingsError(f"{path} is larger than {_BYTES // 1_000_000} MB", hint="use a smaller picture")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about sizes and metadata: sizes are checked here
            with Image.open(io.BytesIO(path.read_bytes()), formats=_FORMATS) as opened:
                picture = _checked(path, opened)
    except UnidentifiedImageError as e:
        raise SettingsError(f"{path} is no picture that can be read", hint="use a PNG, JPEG or WebP file") from e
    except OSError as e:
        if e.errno is not None:
            raise SettingsError(f"{path}: {e.strerror}", hint="name a PNG, JPEG or WebP file") from e
        raise _damaged(path) from e
    except Image.DecompressionBombError as e:
        raise _too_large(path) from e
    except (ValueError, SyntaxError, EOFError) as e:
        raise _damaged(path) from e
    written = io.BytesIO()
    picture.save(written, "PNG")
    content = written.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    return KeptImage(key_of(image_name(digest), digest), content)


def _checked(path: Path, opened: Image.Image) -> Image.Image:
    if opened.width * opened.height > _PIXELS:
        raise _too_large(path)
    if getattr(opened, "n_frames", 1) > 1:
        raise SettingsError(f"{path} is animated", hint="use a picture that stands still")
    picture = ImageOps.exif_transpose(opened).convert("RGBA")
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    picture.info.clear()
    return picture


def _too_large(path: Path) -> SettingsError:
    return SettingsError(f"{path} has more than {_PIXELS // 1_000_000} million pixels", hint="use a smaller picture")


def _damaged(path: Path) -> SettingsError:
    return SettingsError(f"{path} is damaged: it cannot be decoded", hint="use a PNG, JPEG or WebP file")


def with_image(options: RedactOptions) -> tuple[RedactOptions, KeptImage | None]:
    """The options with the key of the picture in place of its file, and the picture.

    Raises SettingsError for a file that is none, for the style ``image`` without one, and for one without the style.
    """
    asked = IMAGE in (options.style, options.plate_style)
    if options.image is None:
        check_looks([options.look(kind) for kind in ("face", "plate")])
        return options, None
    if not asked:
        hint = "add redact.style image, or leave it out"
        raise SettingsError("redact.image is only used by the style image", hint=hint, field="redact.image")
    image = read_image(Path(options.image).expanduser())
    return replace(options, image=image.key), image


def check_looks(looks: Iterable[Look]) -> None:
    """Raise SettingsError for a style ``image`` without a picture in the store."""
    if any(look.style == IMAGE and not is_image(look.image) for look in looks):
        hint = "name a PNG, JPEG or WebP file with redact.image"
        raise SettingsError("the style image needs a picture", hint=hint, field="redact.image")


def put_image(store: Storage, image: KeptImage) -> None:
    """Write a picture to the store, if it is not there. Raises StorageError."""
    with store.put(image_name(hashlib.sha256(image.content).hexdigest())) as draft:
        draft.path.write_bytes(image.content)
