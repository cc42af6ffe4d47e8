"""The summary of a finished job, in plain words: what was found and covered, where nothing was found, and the sizes."""

from typing import Any

from farm.cli.submit_options import options_line
from farm.cli.tables import clock
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.detectors import LARGEST_SIZE
from farm.domain.printable import shown
from farm.domain.quality import size_of
from farm.domain.time import time_text
from farm.jobs.queries import JobFacts

#: What the styles do to a face.
_DONE = {"blur": "Blurred", "pixelate": "Pixelated", "solid": "Covered", "image": "Covered"}
_SHOWN = 5  # stretches without a face


def summary(facts: JobFacts, seconds: float) -> str:
    """Return the summary of a finished job: one line, followed by one line for each other fact and note.

    ``seconds``: how long the job took from the user's point of view.
    """
    if facts.waits:
        return "\n  ".join(map(shown, _review(facts)))
    rate = facts.frames / seconds if seconds else 0.0
    length = f"{_counted(facts.frames, 'frame')} ({facts.seconds:.1f} s of video)"
    parts = [f"{facts.output}: {length} in {seconds:.1f} s, {rate:.1f} frames/s", *_faces(facts), *_sizes(facts)]
    if facts.audited:
        parts.extend(audit_lines(facts.audited, facts.id))
    parts.extend(map(str, facts.companions))
    parts.extend(filter(None, [*facts.notes, options_line(facts.options)]))
    chunks = sum(s.chunks for s in facts.stages)
    encoded = next((stage for stage in facts.stages if stage.stage == "redact"), None)
    if facts.masked and encoded:
        parts.append(f"{encoded.chunks - encoded.chunks_reused} of {encoded.chunks} chunks were encoded")
    elif facts.reused:
        parts.append(f"{facts.reused} of {chunks} chunks were already done")
    if facts.failures:
        parts.append(
            f"{_counted(facts.failures, 'attempt')} failed and {'was' if facts.failures == 1 else 'were'} repeated"
        )
    return "\n  ".join(map(shown, parts))


def _review(facts: JobFacts) -> list[str]:
    """What to do with a job that waits for a person."""
    found = f"{_counted(facts.faces or 0, 'track')} in {facts.frames_with_faces or 0} of {facts.frames} frames"
    first = facts.waiting[0]
    others = [each for each in facts.companions if each.id in facts.waiting[1:]]
    return [
        f"job {facts.id} waits for review, and nothing is published before: {found}.",
        f"Look: farm preview {first}, farm tracks {first}. Correct: farm edit {first} --help.",
        f"When all is right: farm approve {first}",
        *(f"{each}, which is approved on its own: farm approve {each.id}" for each in others),
    ]


def audit_lines(audited: dict[str, Any], job: str) -> list[str]:
    """What an audit found, and what to do about it."""
    faces = audited["faces"]
    if not faces:
        return [f"Audit: no face was found outside the masks, in {_counted(audited['looks'], 'frame')} looked at."]
    lines = [f"Audit: {_counted(len(faces), 'face')} outside the masks:"]
    for face in faces[:_SHOWN]:
        box = ",".join(f"{n:.0f}" for n in face["box"])
        times = f"{time_text(face['from'])} to {time_text(face['to'])}"
        lines.append(f"  {times}, clearest at {face['at']:.2f} s in {box} (score {face['score']:.2f})")
    if len(faces) > _SHOWN:
        lines.append(f"  and {len(faces) - _SHOWN} more: farm audit {job} --json")
    return [
        *lines,
        f"Look: farm audit {job} -o {job}.audit.html. Cover: farm edit {job} add-box --track --at TIME --box X,Y,W,H,",
        f"or say that it may be seen: farm edit {job} keep TRACK, or ignore --box X,Y,W,H.",
        f"Then: farm {'approve' if audited['output'] == '' else 'redact'} {job}",
    ]


def _faces(facts: JobFacts) -> list[str]:
    """What was found, and where nothing was."""
    if facts.faces is None:  # a job of an earlier version
        return []
    if not facts.faces and facts.masked:
        lines = ["WARNING: Nothing is covered, by the job's edits or since no face was found. Watch the output."]
    elif not facts.faces:
        size = size_of(facts.options.get("detect", {}))
        advice = ", they are too small or unclear for the model"
        if size < LARGEST_SIZE:
            advice = f", try --detect-size {min(2 * size, LARGEST_SIZE)}, which finds smaller faces"
        where = f"any of the {facts.frames} frames" if facts.frames > 1 else "its only frame"
        lines = [
            f"WARNING: No face was found in {where}: the output is not redacted.",
            f"Watch it. If it shows faces{advice}.",
        ]
    else:
        redact = facts.options.get("redact", {})
        done = "Marked" if redact.get("debug") else _DONE.get(str(redact.get("style")), "Redacted")
        kept = "unchanged" if facts.psnr is None else f"unchanged ({facts.psnr:.1f} dB)"
        tracks = _counted(facts.faces, "face") + (" (track)" if facts.faces == 1 else " (tracks)")
        lines = [f"{done} {tracks} in {facts.frames_with_faces} of {facts.frames} frames. Rest of the picture {kept}."]
    if facts.copied:
        lines.append(f"{_counted(facts.copied, 'frame')} without a face copied from the source, byte for byte.")
    return lines + _stretches(facts)


def _stretches(facts: JobFacts) -> list[str]:
    """The longest stretches without a face, in the order of the video; none where that is the whole video."""
    found = facts.without_faces or []
    if not facts.faces or not found:
        return []
    longest = sorted(sorted(found, key=lambda s: s[0] - s[1])[:_SHOWN])
    times = ", ".join(f"{clock(begin)} to {clock(end)}" for begin, end in longest)
    more = f" and {len(found) - _SHOWN} shorter stretches" if len(found) > _SHOWN else ""
    return [f"No face was found from {times}{more}: check that there is none."]


def _sizes(facts: JobFacts) -> list[str]:
    """How large the output is, beside the source."""
    if facts.source_size is None or facts.output_size is None:
        return []
    source, output = size_text(facts.source_size), size_text(facts.output_size)
    if facts.container == PICTURES_CONTAINER:
        return [f"Size: {_counted(facts.frames, 'picture')}, {output}."]
    asked = facts.options.get("source", {})
    if any(asked.get(name) is not None for name in ("start", "end", "fps", "every")):
        return [f"Size: {output}, of a part of {source}."]
    return [f"Size: {source} → {output}."]


def size_text(size: int) -> str:
    """A size in bytes for people: ``12.3 MB``."""
    number, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.95:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
