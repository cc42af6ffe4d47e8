"""What a seed means: which farm, which jobs, and which faults at which moments."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

_T = TypeVar("_T")

#: The moments that faults are timed from: the beginning, and the job's stages as its status names them.
MOMENTS = ("start", "detecting", "linking", "reviewing", "redacting", "composing")
#: Seconds from a moment to the fault. The jobs are short.
_SOON = 1.2

_EVERYWHERE = ("embedded", "networked")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. ``weight``: how often, against the others; ``where``: the farms that it can happen in.

    ``lasts``: between how many seconds it lasts, for one that ends. ``at``: the moments that make sense for it.
    """

    weight: float
    where: tuple[str, ...] = _EVERYWHERE
    lasts: tuple[float, float] | None = None
    at: tuple[str, ...] = MOMENTS


#: A stop that lasts as long is survived while it lasts.
FOR_GOOD = 45.0
_STOPS = (0.5, 9.0)  # some are longer than a silence, some longer than a lease
_WORK = ("detecting", "redacting", "composing")

KINDS: dict[str, Kind] = {
    "kill child": Kind(3),
    "kill worker": Kind(3),
    "kill coordinator": Kind(3),
    "kill redis": Kind(3),
    "kill ffmpeg": Kind(1.5, at=("composing",)),
    "kill up": Kind(2, ("embedded",)),
    "kill farm": Kind(1.5),
    "hang child": Kind(0.7, at=_WORK),
    "stop child": Kind(2, lasts=_STOPS, at=_WORK),
    "stop worker": Kind(2, lasts=_STOPS),
    "stop coordinator": Kind(2, lasts=_STOPS),
    "stop redis": Kind(2, lasts=_STOPS),
    "stop ffmpeg": Kind(1, lasts=(0.5, 4.0), at=("composing",)),
    "stop host": Kind(0, lasts=(FOR_GOOD, FOR_GOOD), at=_WORK),
    "stop up": Kind(1, ("embedded",), lasts=_STOPS),
    "stop farm": Kind(1, lasts=_STOPS),
    "flushall": Kind(3),
    "redis full": Kind(2, lasts=(0.5, 4.0)),
    "disk full": Kind(2, lasts=(0.3, 2.5)),
    "tripled": Kind(2, ("networked",), lasts=(2.0, 6.0)),
    "delayed": Kind(2, ("networked",), lasts=(1.0, 4.0)),
    "stale": Kind(0.7, ("networked",), lasts=(0.5, 6.0)),
    "reordered": Kind(2, ("networked",), lasts=(2.0, 6.0)),
    "dropped": Kind(2, ("networked",), lasts=(0.5, 3.0)),
    "refused": Kind(1, ("networked",), lasts=(0.5, 4.0)),
    "altered": Kind(2, ("networked",), lasts=(0.5, 3.0)),
    "forged": Kind(0, ("networked",), lasts=(0.5, 3.0)),
    "partition": Kind(1.5, ("networked",), lasts=(10.0, 10.0)),
    "long partition": Kind(0.0, ("networked",), lasts=(60.0, 60.0)),
    "truncated": Kind(1, at=MOMENTS[1:]),
    "flipped": Kind(1.5, at=MOMENTS[1:]),
    "emptied": Kind(1, at=MOMENTS[1:]),
    "swapped": Kind(1, at=MOMENTS[1:]),
    "deleted": Kind(1, at=MOMENTS[1:]),
}
DAMAGE = frozenset({"truncated", "flipped", "emptied", "swapped", "deleted"})
MESSAGES = frozenset({"tripled", "delayed", "stale", "reordered", "dropped", "refused", "altered", "forged"})
#: What a worker that is poisoned does: see :class:`Schedule`.
POISONS = ("kills", "hangs")
#: The jobs of a schedule, by the names of :data:`tests.faults.reference.WORKS`, and how often.
_JOBS: dict[tuple[str, ...], float] = {
    ("blurred",): 5,
    ("solid",): 2,
    ("blurred", "again"): 1,
    ("blurred", "solid"): 1,
    ("blurred", "other"): 1.5,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: ``after`` seconds from when the first job reaches ``moment``. ``choice``: of 0 to 1, which victim."""

    moment: str
    after: float
    kind: str
    lasts: float | None
    choice: float

    def __str__(self) -> str:
        lasts = "" if self.lasts is None else f" for {self.lasts:.1f} s"
        return f"{self.moment} + {self.after:.2f} s: {self.kind}{lasts} (choice {self.choice:.3f})"


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that a seed says.

    ``poison``: what happens to whatever touches one chunk of the first job, or None. ``clock``: by how many seconds
    the clock of the workers is wrong. ``lies``: the first time that ffmpeg composes, it damages what it wrote and
    reports success. ``bad_write``: once, a segment's bytes change while they are written ("write"), or after they were
    verified ("sync"). ``altered``: which artefact is changed so that it stays well formed, and ``rewritten``: what is
    changed in an order before it is signed; see :mod:`tests.faults.forging`.
    """

    seed: int
    farm: str
    jobs: tuple[str, ...]
    faults: tuple[Fault, ...]
    poison: str | None = None
    clock: int = 0
    lies: bool = False
    bad_write: str = ""
    altered: str = ""
    rewritten: str = ""

    @property
    def small_disk(self) -> bool:
        """Whether the store is on a small file system, which a fault fills."""
        return any(fault.kind == "disk full" for fault in self.faults)

    @property
    def kinds(self) -> list[str]:
        """All that happens, for the table."""
        found = [fault.kind for fault in self.faults]
        found += [f"poison that {self.poison}"] * (self.poison is not None)
        found += ["wrong clock"] * (self.clock != 0) + ["ffmpeg lies"] * self.lies
        found += ["bad write"] * bool(self.bad_write) + [f"altered {self.altered}"] * bool(self.altered)
        return found + [f"rewritten {self.rewritten}"] * bool(self.rewritten)

    def lines(self) -> list[str]:
        """The schedule for a person, a line per fault."""
        jobs = " and ".join(self.jobs)
        head = f"seed {self.seed}: {self.farm}, jobs: {jobs}"
        head += f", a chunk that {self.poison} its worker" if self.poison else ""
        head += f", workers' clock wrong by {self.clock} s" if self.clock else ""
        head += ", ffmpeg lies once" if self.lies else ""
        head += f", a {self.bad_write} goes wrong once" if self.bad_write else ""
        head += f", {self.altered} altered" if self.altered else ""
        head += f", {self.rewritten} rewritten in an order" if self.rewritten else ""
        return [head, *(f"  {fault}" for fault in self.faults)]


def schedule(seed: int, only: frozenset[str] | None = None) -> Schedule:
    """The schedule of a seed. ``only``: choose among these kinds."""
    dice = random.Random(seed)
    farm = "networked" if dice.random() < 0.4 else "embedded"
    possible = {
        name: kind.weight if only is None else 1.0
        for name, kind in KINDS.items()
        if farm in kind.where and (only is None or name in only)
    }
    poisons = [how for how in POISONS if only is None or how in only]
    poison = dice.choice(poisons) if dice.random() < 0.06 and poisons else None
    jobs = ("other", "solid") if poison else _weighted(dice, _JOBS)
    wrong = dice.random() < 0.15 and farm == "networked" and (only is None or "clock" in only)
    clock = dice.choice([-3600, 3600]) if wrong else 0
    number = (0 if poison else dice.choice([1, 2, 2, 3, 3, 4])) if any(possible.values()) else 0
    faults = [_fault(dice, _weighted(dice, possible)) for _ in range(number)]
    if sum(fault.kind.endswith("partition") for fault in faults) > 1:  # one of them is long enough
        first = next(fault for fault in faults if fault.kind.endswith("partition"))
        faults = [fault for fault in faults if fault is first or not fault.kind.endswith("partition")]
    faults.sort(key=lambda fault: (MOMENTS.index(fault.moment), fault.after))
    lies = dice.random() < 0.06 and not poison and (only is None or "lies" in only)
    bad_write = dice.random() < 0.06 and not (poison or lies or clock) and (only is None or "bad write" in only)
    return Schedule(seed, farm, jobs, tuple(faults), poison, clock, lies, "write" if bad_write else "")


def _fault(dice: random.Random, name: str) -> Fault:
    kind = KINDS[name]
    lasts = None if kind.lasts is None else round(dice.uniform(*kind.lasts), 2)
    return Fault(dice.choice(kind.at), round(dice.uniform(0, _SOON), 2), name, lasts, round(dice.random(), 3))


def _weighted(dice: random.Random, weights: Mapping[_T, float]) -> _T:
    names, sums = list(weights), list(accumulate(weights.values()))
    return dice.choices(names, cum_weights=sums)[0]


def seeds(text: str) -> list[int]:
    """``"1-3,7"``: 1, 2, 3 and 7."""
    spans = [part.partition("-") for part in text.split(",")]
    return [seed for first, _, last in spans for seed in range(int(first), int(last or first) + 1)]
