"""Tables of jobs: lines fitted to a terminal's width, or one job a line, separated by tabs, for a pipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from farm.domain.printable import shown

if TYPE_CHECKING:
    from farm.jobs.queries import JobFacts

#: Terminals of fewer columns get two lines where others get one.
NARROW = 60
_STATUS = len("redacting")


def middle(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns. Where it is longer its middle is left out: a path's end tells most."""
    text = shown(text)
    if cell_len(text) <= width:
        return text
    head = max(0, width - 1) // 3
    tail = set_cell_size(text[::-1], max(0, width - 1 - head))[::-1]
    return f"{set_cell_size(text, head)}…{tail}"


def cut(text: str, width: int) -> str:
    """The beginning of ``text``, in at most ``width`` columns."""
    text = shown(text)
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1))}…"


def moment(at: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time, given in seconds since the epoch, by the clock on the wall."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime(form)


def clock(seconds: float) -> str:
    """A time as ``m:ss``, or ``h:mm:ss`` from an hour on; parts of a second are left out."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def share_done(job: "JobFacts") -> float:
    """How much of a job is done, from 0 to 1."""
    done, total = sum(s.frames_done for s in job.stages), sum(s.frames for s in job.stages)
    return 1.0 if job.status == "done" else min(1.0, done / max(1, total))


def job_lines(jobs: Sequence["JobFacts"], width: int | None) -> Iterator[str]:
    """The jobs, one after the other. ``width``: of the terminal, None for a pipe: then there are tabs and no heading.

    The fields for a pipe: id, status, percent done, time of submission (ISO 8601), frames, source, output.
    """
    if width is None:
        for job in jobs:
            at = datetime.fromtimestamp(job.created_at, UTC).astimezone().isoformat(timespec="seconds")
            row = (job.id, job.status, int(100 * share_done(job)), at, job.frames, job.source, job.output)
            yield "\t".join(map(shown, row))
        return
    narrow = width < NARROW
    form = "%m-%d %H:%M" if narrow else "%Y-%m-%d %H:%M"
    head = f"{'job':8}  {'status':{_STATUS}}  {'done':>5}  {'submitted':{len(moment(0, form))}}"
    left = width - len(head) - 2
    with_output = left >= 60
    each = (left - 2) // 2 if with_output else left
    yield f"{head}{'' if narrow else '  source'}{' ' * (each - 4) + 'output' if with_output else ''}".rstrip()
    for job in jobs:
        done = f"{int(100 * share_done(job))} %"
        line = f"{job.id:8}  {job.status:{_STATUS}}  {done:>5}  {moment(job.created_at, form)}"
        if narrow:
            yield line[:width]
            yield f"  {middle(job.source, width - 2)}"
        elif with_output:
            yield f"{line}  {set_cell_size(middle(job.source, each), each)}  {middle(job.output, each)}"
        else:
            yield f"{line}  {middle(job.source, each)}"


def job_details(job: "JobFacts") -> Iterator[str]:
    """All that a person wants to know about one job; paths are whole."""
    yield f"job {job.id}: {job.status}, {int(100 * share_done(job))} % of {job.frames} frames done"
    yield f"  source:    {shown(job.source)}"
    yield f"  output:    {shown(job.output)}"
    yield f"  submitted: {moment(job.created_at)}"
    if job.finished_at is not None:
        yield f"  ended:     {moment(job.finished_at)}"
    if job.reason:
        yield f"  reason:    {shown(job.reason)}"
    if job.main is not None:
        yield f"  redacts stream {job.stream} for job {job.main}"
    for note in (*map(str, job.companions), *job.notes):
        yield f"  {shown(note)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One video in the table at the end of a command.

    ``line``: why there is no output; rows of one ``kind`` share it.
    """

    name: str
    result: str
    faces: str = ""
    notes: str = ""
    line: str = ""
    kind: str = ""


def row_of(name: str, job: "JobFacts") -> Row:
    """The row of a job that is done."""
    faces = "" if job.faces is None else str(job.faces or "none")
    return Row(name, job.status, faces, "; ".join(job.notes))


def result_lines(rows: Sequence[Row], width: int | None) -> Iterator[str]:
    """The table at the end of a command: failed ones last, with their line, which those of one kind share.

    ``width``: of the terminal, None for a pipe: file, result, faces, and notes or the line, separated by tabs.
    """
    failed: dict[str, list[Row]] = {}
    for row in rows:
        if row.line:
            failed.setdefault(row.kind, []).append(row)
    ordered = [[row] for row in rows if not row.line] + list(failed.values())
    if width is None:
        for group in ordered:
            yield from ("\t".join(map(shown, (r.name, r.result, r.faces, r.line or r.notes))) for r in group)
        return
    yield ""
    narrow = width < NARROW
    rest = width - len("  cancelled  faces  ")
    each = rest if narrow else min(rest // 2, max([20, *(cell_len(shown(row.name)) for row in rows)]))
    heading = f"{'file':{each}}  {'result':9}  faces"
    yield heading if narrow else f"{heading}  notes"
    for group in ordered:
        for row in group:
            line = f"{set_cell_size(middle(row.name, each), each)}  {row.result:9}  {row.faces:>5}"
            if narrow or not row.notes:
                yield line.rstrip()
            else:
                yield f"{line}  {cut(row.notes, width - cell_len(line) - 2)}"
            if narrow and row.notes:
                yield f"  {cut(row.notes, width - 2)}"
        if group[0].line:
            yield from wrap(
                shown(group[0].line), width, initial_indent="  ", subsequent_indent="  ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
