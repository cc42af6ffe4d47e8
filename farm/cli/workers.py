"""Commands for the workers: list them, drain, block and unblock one."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len, set_cell_size

from farm.cli.jobs import JsonOption
from farm.cli.tables import cut, moment
from farm.domain.printable import shown
from farm.processes import who

if TYPE_CHECKING:
    from farm.jobs.workers import Hold, WorkerFacts

app = typer.Typer(
    help="List the workers; drain, block or unblock one.", invoke_without_command=True, rich_markup_mode=None
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the worker, as `farm workers` lists it.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Shown by `farm workers`.")]


@app.callback()
def list_all(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the workers; drain, block or unblock one.

    In a pipe one line per worker, separated by tabs: name, state, device, host, frames/s, job, stage, chunk, last seen,
    and for one that is held: by whom, when, why.
    """
    if ctx.invoked_subcommand is not None:
        return
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.workers import list_workers
    from farm.settings import load_settings

    workers = list_workers(open_context(load_settings()))
    if as_json:
        display.print_json([worker.row() for worker in workers])
    elif workers:
        display.print_lines(partial(worker_lines, workers))
    else:
        display.output.print("no worker has reported yet; start some with `farm up` or `farm worker`", soft_wrap=True)


@app.command("drain")
def drain(name: NameArgument, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Give a worker no more chunks; it finishes the current one."""
    _hold(name, "drain", reason, as_json=as_json)


@app.command("block")
def block(name: NameArgument, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Give a worker no more chunks, and the current one to another worker."""
    _hold(name, "block", reason, as_json=as_json)


@app.command("unblock")
def unblock(name: NameArgument, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Give a worker that was drained or blocked chunks again."""
    _hold(name, None, reason, as_json=as_json)


def _hold(name: str, hold: "Hold | None", reason: str | None, *, as_json: bool) -> None:
    from farm.cli import display
    from farm.jobs.context import open_context
    from farm.jobs.workers import hold_worker
    from farm.settings import load_settings

    facts = hold_worker(open_context(load_settings()), name, hold, who(), reason)
    if as_json:
        display.print_json(facts.row())
        return
    text = {"drain": "gets no more chunks", "block": "is blocked", None: "takes chunks again"}[hold]
    display.output.print(f"worker {name} {text}", soft_wrap=True)


def worker_lines(workers: Sequence["WorkerFacts"], width: int | None) -> Iterator[str]:
    """The workers, one after the other. ``width``: of the terminal, None for a pipe: then tabs and no heading."""
    if width is None:
        for w in workers:
            speed = "" if w.frames_per_second is None else f"{w.frames_per_second:.1f}"
            held = (w.held_by or "", "" if w.held_at is None else moment(w.held_at), w.held_why or "")
            row = (w.name, w.state, w.device, w.host, speed, w.job or "", w.stage or "", w.chunk or "")
            yield "\t".join(map(shown, (*row, moment(w.seen_at, "%Y-%m-%d %H:%M:%S"), *held)))
        return
    names = min(max(cell_len(shown(w.name)) for w in workers), 40)
    yield f"{set_cell_size('worker', names)}  {'state':8}  {'frames/s':>8}  {'last seen':19}  works on"[:width].rstrip()
    for w in workers:
        speed = "" if w.frames_per_second is None else f"{w.frames_per_second:.1f}"
        on = f"{w.stage}, chunk {w.chunk} of job {w.job}" if w.job else ""
        seen = moment(w.seen_at, "%Y-%m-%d %H:%M:%S")
        line = f"{set_cell_size(cut(w.name, names), names)}  {w.state:8}  {speed:>8}  {seen}  {on}"
        yield cut(line, width).rstrip()
        if w.held_by is not None and w.held_at is not None:
            did = "drained" if w.held == "drain" else "blocked"
            why = f": {w.held_why}" if w.held_why else ""
            yield cut(f"  {did} by {w.held_by}, {moment(w.held_at)}{why}", width)
