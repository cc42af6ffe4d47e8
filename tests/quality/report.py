"""docs/quality.md: one section for each part, each replaced when its part has run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TITLE = """# Quality

`make quality` measures this and writes it here; `make quality PARTS=leak,reid` measures some of it
([decision 39](decisions/0039-quality-measured.md)). It needs the footage (`FARM_TEST_DATA`), which is not in the
project.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """What a part found. ``ran``: what it was measured on; ``blocks``: paragraphs, tables and pictures in Markdown.

    ``broken``: the promises that do not hold, a line for each.
    """

    part: str
    title: str
    ran: str
    blocks: Sequence[str]
    broken: Sequence[str] = ()

    def text(self) -> str:
        """The section in Markdown, between the marks by which it is found again; files are named without folders."""
        body = _FOLDERS.sub("", "\n\n".join([f"## {self.title}", self.ran, *self.blocks]))
        return f"{_mark(self.part)}\n{body}\n{_END}\n"


_END = "<!-- end -->"
#: Of a path of this machine.
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[\w.-]+/)+")


def _mark(part: str) -> str:
    return f"<!-- part: {part} -->"


def table(rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def with_section(document: str, section: Section) -> str:
    """The document with this section in place of the part's earlier one, or at the end."""
    document = document or _TITLE
    earlier = re.compile(re.escape(_mark(section.part)) + r"\n.*?" + re.escape(_END) + r"\n", re.DOTALL)
    if earlier.search(document):
        return earlier.sub(lambda _: section.text(), document, count=1)
    return f"{document}\n{section.text()}"


def write_section(path: Path, section: Section) -> None:
    """Put a section into the document ``path``, which is made if it is not there."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(with_section(before, section), encoding="utf-8")
