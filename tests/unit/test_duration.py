"""Times as people write them."""

import pytest

from farm.domain.time import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), (".5", 0.5), ("5s", 5), ("250ms", 0.25), ("2m", 120), ("1h", 3600), ("7d", 604800),
     ("1:30", 90), ("1:02:03.5", 3723.5), (" 5 S ", 5), ("0", 0)],
)  # fmt: skip
def test_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "five", "-1", "1:60", "1:2:3:4", "1e3", "nan", "5 days", "1:61:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write"):
        seconds_of(text)
