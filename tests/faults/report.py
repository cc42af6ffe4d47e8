"""The table of a run: faults by kind, recoveries, and the slowest of them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.faults.run import Outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: how many schedules held, and a row per kind of fault."""
    held = [outcome for outcome in outcomes if outcome.error is None]
    by_kind: dict[str, list[float | None]] = defaultdict(list)
    for outcome in outcomes:
        for kind, seconds in outcome.recoveries:
            by_kind[kind].append(seconds)
        if outcome.schedule.clock and outcome.error is None:
            by_kind["wrong clock"].append(None)
    jobs = sum(len(outcome.schedule.jobs) for outcome in outcomes)
    longest = max((outcome.seconds for outcome in outcomes), default=0.0)
    mean = sum(outcome.seconds for outcome in outcomes) / max(1, len(outcomes))
    summary = (
        f"{len(held)} of {len(outcomes)} schedules held. {jobs} jobs: {sum(o.failed for o in outcomes)} failed because"
        f" of a poisoned chunk, as they should, {sum(o.retried for o in outcomes)} were retried after a full disk."
        f" A schedule took {mean:.0f} s on average, the longest {longest:.0f} s."
    )
    lines = [
        summary,
        "",
        "| fault | times | recoveries | slowest recovery (s) | mean (s) |",
        "|---|--:|--:|--:|--:|",
    ]
    for kind in sorted(by_kind):
        took = [seconds for seconds in by_kind[kind] if seconds is not None]
        slowest = f"{max(took):.1f} | {sum(took) / len(took):.1f}" if took else "– | –"
        lines.append(f"| {kind} | {len(by_kind[kind])} | {len(took)} | {slowest} |")
    failed = [
        f"- seed {outcome.schedule.seed}: {str(outcome.error).splitlines()[0]}"
        for outcome in outcomes
        if outcome.error is not None
    ]
    return "\n".join([*lines, *([""] if failed else []), *failed]) + "\n"


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the table into the file ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table(outcomes), encoding="utf-8")
