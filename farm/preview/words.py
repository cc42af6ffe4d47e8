"""What previews say, in words."""

from farm.domain.time import time_text
from farm.domain.track import number_text
from farm.preview.collect import Preview, Shot, covered_share


def heading(preview: Preview) -> str:
    """What the preview is of."""
    said = f"{preview.tracks} track{'' if preview.tracks == 1 else 's'} in {time_text(preview.seconds)} of video"
    shown = (
        "" if len(preview.shots) == preview.tracks else f", the {len(preview.shots)} that are seen longest are shown"
    )
    return f"{said}{shown}. Correct: farm edit {preview.job} --help. All tracks: farm tracks {preview.job}"


def covered_words(preview: Preview) -> str:
    """When anything is covered."""
    share = covered_share(preview.open_times, preview.seconds)
    return f"Something is covered in {100 * share:.0f} % of the time. Grey: nothing is; check that there is no face."


def track_words(shot: Shot) -> tuple[str, list[str]]:
    """A track's number, and lines on it: from and to, size and score, whether it is covered."""
    facts = shot.facts
    times = f"{time_text(facts.begins)} to {time_text(facts.ends)}"
    score = f", {facts.score:.2f}" if facts.score else ""
    size = f"{facts.width:.0f} x {facts.height:.0f}{score}"
    if not facts.covered:
        state = "not covered"
    else:
        state = "" if facts.covered == facts.frames else f"covered in {facts.covered} of {facts.frames} frames"
    edits = f"edit {', '.join(map(str, facts.edits))}" if facts.edits else ""
    return number_text(facts.track), [line for line in (times, size, state, edits) if line]
