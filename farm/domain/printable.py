"""Text of unknown origin made fit to be printed: names of files, metadata, and messages that quote them."""

import re
from unicodedata import category

#: Control characters, what is invisible or turns the direction of text, surrogates, separators of lines.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NOT_UTF8 = range(0xDC80, 0xDD00)  # PEP 383: a byte of a file name that is not UTF-8, plus 0xDC00
_CANDIDATES = re.compile(r"[^\x20-\x7e]")


def shown(text: object) -> str:
    r"""``text`` in one line that a terminal, a log or a table can take, escaped as in Python: ``\n``, ``\x1b``.

    Other text stays as it is, in any script; a backslash, too, so that applying this twice changes nothing.
    """
    return _CANDIDATES.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if category(character) not in _UNFIT:
        return character
    if ord(character) in _NOT_UTF8:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
