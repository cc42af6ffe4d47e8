"""Text of unknown origin reaches a terminal, a log or a table as one line of what can be seen."""

import pytest

from farm.domain.printable import shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\x1b]0;owned\x07b", r"a\x1b]0;owned\x07b"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x9b31m", r"\x9b31m"),  # CSI in one character
        ("gpj.\u202emp4", r"gpj.\u202emp4"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028\u2029", r"line\u2028\u2029"),
        ("tag \U000e0041", r"tag \U000e0041"),
        (b"caf\xe9.mp4".decode("utf-8", "surrogateescape"), r"caf\xe9.mp4"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_what_a_terminal_acts_on_is_escaped(text: str, says: str) -> None:
    assert shown(text) == says
    assert shown(says) == says
    assert shown(text).isprintable()


@pytest.mark.parametrize("text", ["", "plain.mp4", r"C:\new", "Ferien – Zürich 東京 😀 \u202f3\u00a0pm", "[bold]a[/]"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text
