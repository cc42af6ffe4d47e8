"""Confidence intervals of shares."""

import math

#: The standard normal deviate of a two-sided interval of 95 %.
_DEVIATE = 1.959964


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of the share behind ``hits`` of ``of`` trials, 0 to 1 (Wilson 1927). Raises ValueError."""
    if not 0 <= hits <= of or of == 0:
        raise ValueError(f"{hits} of {of}")
    share, weight = hits / of, _DEVIATE**2 / of
    centre = (share + weight / 2) / (1 + weight)
    reach = _DEVIATE / (1 + weight) * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def most_by_chance(of: int, chance: float) -> int:
    """The largest number of hits that guessing reaches in at least one of 40 tries: the upper end of its 95 % interval.

    ``of`` independent guesses, each right with the probability ``chance``: exact binomial tail, 2.5 % a side.
    """
    below = 0.0
    for hits in range(of + 1):
        if 1 - below < 0.025:  # the probability of at least `hits`
            return hits - 1
        below += math.comb(of, hits) * chance**hits * (1 - chance) ** (of - hits)
    return of
