"""Where a video shows no face."""

from fractions import Fraction

import pytest

from farm.domain.found import Found, Stretches


@pytest.mark.parametrize(
    ("covered", "found"),
    [
        ("....", ((0.0, 2.0),)),
        ("####", ()),
        ("#..#", ((0.5, 1.5),)),
        ("#.##", ()),  # half a second is a pause
        ("..#...##..", ((0.0, 1.0), (1.5, 3.0), (4.0, 5.0))),
    ],
)
def test_stretches_of_a_second_and_more(covered: str, found: tuple[tuple[float, float], ...]) -> None:
    stretches = Stretches(Fraction(1, 1000), 7000)
    for number, frame in enumerate(covered):
        stretches.take(7000 + 500 * number, covered=frame == "#")
    assert stretches.until(7000 + 500 * len(covered)) == found
    assert Found(1, 2, found).row()["without"] == found
