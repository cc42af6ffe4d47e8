"""Compares an output with its source, without a plan, segments or a database: anyone with both files can."""

from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from math import inf
from pathlib import Path

import av.error

from farm.domain.manifest import Source, VideoStream
from farm.domain.options import SourceOptions
from farm.domain.pixels import pixel_format
from farm.errors import SourceError, VerificationError
from farm.media.failing import reason
from farm.media.reading.decoding import STRICT, decoded, open_video
from farm.media.reading.index import index_source
from farm.media.reading.limits import Limits
from farm.media.reading.opening import check_readable
from farm.media.reading.probe import probe_output
from farm.media.reading.resizing import probe_as_asked
from farm.media.verifying.compare_pictures import Pictures
from farm.media.verifying.compare_streams import FilePackets, compare_streams, read_packets, tags_of
from farm.media.verifying.comparison import DIFFERS, FAILED, OK, Comparison
from farm.media.verifying.packets import seconds
from farm.media.verifying.parts import Part, PlannedFrames, Thumbnails, find_part, thumbnails_of
from farm.media.verifying.properties import (
    PropertyChanges,
    as_said,
    display_properties,
    encoding_properties,
    said,
)
from farm.media.verifying.rates import frames_fault
from farm.media.verifying.verify_sound import SoundEdits, copied, sound_fault

#: The lowest luma PSNR in dB, outside of changed blocks, of ten seconds of the source's video.
LOWEST = 24.0
_LIMITS = Limits()
_MOMENT = Fraction(1, 1000)
#: Containers whose clock may start at any value. Tools that copy streams from or to another container shift all of
#: them, so that they start at that container's usual value.
_FREE_CLOCKS = frozenset({"mpegts", "mpeg", "flv"})


def compare(
    source: Path,
    output: Path,
    *,
    part: bool = False,
    lowest: float = LOWEST,
    threads: int = 1,
    limits: Limits = _LIMITS,
    sound: SoundEdits | None = None,
    video: int | None = None,
    copy: int | None = None,
    resize_to: str | None = None,
) -> Comparison:
    """Compare ``output`` with ``source``, and of several videos the main ones.

    ``video``: the index of the source's. ``copy``: of the output's; then nothing but these two streams is compared.
    ``part``: the output may hold only some of the source's frames, all shifted by one time. ``lowest``: see
    :data:`LOWEST`. ``sound``: what was asked of it; None: it is the source's, packet by packet. ``resize_to``: the
    size that frames of several sizes were scaled to. Reads both files twice and decodes both once (a part: twice).
    Memory: 8 to 16 bytes per packet. Raises SourceError, VerificationError for an output that cannot be read.
    """
    for path in (source, output):
        check_readable(path)
    result = Comparison(source, output)
    options = SourceOptions(on_undetectable="blackout", resize_to=resize_to, video=video)
    indexed = index_source(probe_as_asked(source, options, limits), options, limits)
    ours, planned = indexed.source.video, indexed.wanted.pts
    probed = probe_output(output, copy)
    got = probed.video
    packets = read_packets(output, got, probed.others, VerificationError)
    is_still = ours.timing == "counted" and copy is not None  # cover art, which has no end
    result.frames, result.source_frames = len(packets.pts), len(planned)
    wanted = [pts * ours.time_base for pts in planned]
    found = [pts * got.time_base for pts in packets.pts]
    frames = PlannedFrames(source, ours, planned, threads)
    if part:
        chosen = _part(result, wanted, found, thumbnails_of(frames, output, got))
    else:
        both = {packets.container.replace("m2ts", "mpegts"), indexed.source.container}
        free = len(both) > 1 and not _FREE_CLOCKS.isdisjoint(both)
        chosen = _whole(result, wanted, found, free=free)
    shift = Fraction(0) if chosen is None else chosen.shift
    _order(result, packets)
    if not part and not is_still:
        end = indexed.wanted.end * ours.time_base - shift
        _end(result, packets, end)
        if result.frames == result.source_frames and packets.pts:
            fault = frames_fault(got, packets.container, packets.pts, packets.lasting, end)
            result.check("rate", fault, f"{float(got.average_rate or 0):.6g} frames a second, as its frames have")
    _properties(result, ours, got, packets.container)
    if copy is None:
        _streams(result, indexed.source, packets, shift, part=part, sound=sound)
    if chosen is not None:
        pictures = Pictures(lowest)
        _pictures(result, frames, output, got, [planned[i] for i in chosen.frames], found, pictures, threads)
        _summed(result, pictures)
    return result


def _part(result: Comparison, wanted: list[Fraction], found: list[Fraction], thumbnails: Thumbnails) -> Part | None:
    """The frames of the source that the output has; None if they cannot be found: then pictures are not compared."""
    chosen = find_part(wanted, found, thumbnails)
    if chosen is None:
        result.say("times", FAILED, "the output's frames are not some of the source's, moved by one time")
        return None
    verdict = OK if len(found) == len(wanted) else DIFFERS
    result.say("frames", verdict, f"{len(found)} of the source's {len(wanted)} frames")
    result.say("times", OK, f"each frame is at the source's time, less {seconds(chosen.shift)}")
    return chosen


def _whole(result: Comparison, wanted: list[Fraction], found: list[Fraction], *, free: bool) -> Part | None:
    """As :func:`_part`, for an output that must have all frames at the source's times.

    ``free``: all of them may be shifted by one time, as the clock of one of the files may start at any value.
    """
    if len(wanted) != len(found):
        result.say("frames", FAILED, f"the output has {len(found)} frames, the source {len(wanted)}")
        result.say("times", FAILED, _first_other(wanted, found) + "; use --part for a part of the source")
        return None
    result.say("frames", OK, f"{len(found)} frames")
    shift = wanted[0] - found[0] if free else Fraction(0)
    if [time - shift for time in wanted] != found:
        result.say("times", FAILED, _first_other(wanted, found))
        return Part(range(len(found)), Fraction(0))
    if shift:
        result.say("times", DIFFERS, f"each frame is at the source's time, less {seconds(shift)}")
    else:
        text = f"every frame is at the source's time, from {seconds(wanted[0])} to {seconds(wanted[-1])}"
        result.say("times", OK, text)
    return Part(range(len(found)), shift)


def _first_other(wanted: list[Fraction], found: list[Fraction]) -> str:
    for number, (want, got) in enumerate(zip(wanted, found, strict=False)):
        if want != got:
            return f"frame {number} is at {seconds(got)} ({got} s), the source's at {seconds(want)} ({want} s)"
    return f"the {min(len(wanted), len(found))} frames that both have are at the source's times"


def _order(result: Comparison, packets: FilePackets) -> None:
    repeated = next((b for a, b in pairwise(packets.pts) if a == b), None)
    fault = packets.faults.get("order") or packets.faults.get("times")
    if repeated is not None:
        fault = f"two frames have the pts {repeated}"
    result.check("order", fault, "each packet is decoded after the one before, and not after it is shown")
    hidden = packets.faults.get("hidden") or packets.faults.get("damage")
    result.check("hidden", hidden, "no packet of the video is hidden or marked as damaged")


def _end(result: Comparison, packets: FilePackets, want: Fraction) -> None:
    if packets.end is not None:
        text = f"the last frame is shown until {seconds(packets.end)}"
        same = abs(packets.end - want) < _MOMENT  # other tools round it
        result.check("end", None if same else f"{text}, the source's until {seconds(want)}", text)


def _properties(result: Comparison, want: VideoStream, got: VideoStream, container: str) -> None:
    display = display_properties(as_said(want, got), got, container)
    for pairs, otherwise in ((encoding_properties(want, got), DIFFERS), (display, FAILED)):
        for pair in pairs:
            text = said(pair.found) if pair.equal else f"{said(pair.found)}, the source's is {said(pair.wanted)}"
            result.say(pair.name.replace(" ", "_"), OK if pair.equal else otherwise, text)


def _streams(
    result: Comparison, read: Source, output: FilePackets, shift: Fraction, *, part: bool, sound: SoundEdits | None
) -> None:
    source = read_packets(Path(read.path), read.video, read.others, SourceError)
    ours, theirs = ([s for s in f.streams if not s.other.redacted] for f in (source, output))
    if sound:
        ours, theirs = copied(result.source, ours, theirs, sound)
    streams = compare_streams(ours, theirs, shift, part=part)
    if sound and len(ours) < sum(not s.other.redacted for s in source.streams):
        fault = sound_fault(result.source, result.output, sound)
        result.check("sound", fault, "edited or encoded as asked, elsewhere as in the source")
    result.check(
        "packets",
        "; ".join(streams.wrong) or None,
        f"{streams.packets} packets of {streams.same} other streams are the source's",
    )
    lines = [*([f"the output lacks {', '.join(streams.lost)}"] if streams.lost else []), *streams.unsaid]
    result.say("streams", DIFFERS if lines else OK, "; ".join(lines) or "the output has every stream of the source")
    if part:
        return
    if source.chapters == output.chapters:
        result.say("chapters", OK, f"{len(source.chapters)} chapters")
    else:
        untitled = [row[:2] for row in source.chapters] == [row[:2] for row in output.chapters]
        kept = DIFFERS if untitled or not output.chapters else FAILED
        result.say("chapters", kept, f"{len(output.chapters)} chapters, the source has {len(source.chapters)}")
    had, has = tags_of(source.metadata), tags_of(output.metadata)
    gone, new = sorted(set(had) - set(has)), sorted(set(has) - set(had))
    other = sorted(name for name in set(had) & set(has) if had[name] != has[name])
    rows = (("without", gone), ("another", other), ("with", new))
    texts = [f"{word} {', '.join(names)}" for word, names in rows if names]
    result.say("metadata", DIFFERS if texts else OK, "; ".join(texts) or "every tag of the source is kept")


def _pictures(
    result: Comparison,
    source: PlannedFrames,
    output: Path,
    video: VideoStream,
    wanted: list[int],
    times: list[Fraction],
    pictures: Pictures,
    threads: int,
) -> None:
    """Decode both in lockstep."""
    number, fault = 0, None
    changes, frames = PropertyChanges(), source.decoded()
    with closing(frames), open_video(output, video, threads, STRICT) as opened:
        ahead = next(frames, None)
        try:
            for frame in decoded(*opened):
                if number == len(wanted):
                    fault = f"more frames are decoded than the {number} that it has packets for"
                    break
                if pixel_format(frame.format.name) is None:
                    fault = f"frame {number} has pixel format {frame.format.name}, which cannot be compared"
                    break
                if frame.is_corrupt:
                    fault = fault or f"frame {number} at {seconds(times[number])} is decoded with errors"
                while ahead is not None and ahead[0] < wanted[number]:
                    ahead = next(frames, None)
                fits = ahead is not None and ahead[0] == wanted[number]
                pictures.take(number, times[number], ahead[1] if fits and ahead else None, frame)
                if fits and ahead:
                    changes.take(number, times[number], ahead[1], frame)
                number += 1
        except (av.error.FFmpegError, OSError, ValueError) as error:
            fault = f"decoding fails after frame {number}: {reason(error)}"
    if fault is None and number != len(wanted):
        fault = f"{number} of {len(wanted)} frames can be decoded"
    result.check("decode", fault, f"all {number} frames are decoded without error")
    result.check("changes", changes.fault, "where the source changes its colours or fields, so does the output")


def _summed(result: Comparison, pictures: Pictures) -> None:
    result.windows, result.changed, result.psnr = pictures.windows, pictures.changed, pictures.psnr
    faults = [*pictures.wrong]
    if pictures.wrong_frames > len(pictures.wrong):
        faults.append(f"and {pictures.wrong_frames - len(pictures.wrong)} more frames")
    rated = [(w.start, w.psnr) for w in pictures.windows if w.psnr is not None]
    bad = [f"from {seconds(start)} on its PSNR is {psnr:.1f} dB" for start, psnr in rated if psnr < pictures.lowest]
    faults += bad[:3]
    worst = min((psnr for _, psnr in rated), default=inf)
    good = "nothing is left to be compared" if pictures.psnr is None else "what was not changed is equal"
    if pictures.psnr is not None and pictures.psnr < inf:
        good = f"what was not changed has a PSNR of {pictures.psnr:.1f} dB, at least {worst:.1f} dB in any 10 s"
    result.check("picture", "; ".join(faults) or None, good)
    if pictures.black:
        many, first = len(pictures.black), seconds(pictures.black[0])
        result.say("black", DIFFERS, f"{many} frames are wholly black, the first at {first}")
    pictures.places.end()
    result.changed_frames = pictures.places.frames + len(pictures.black)
    if result.changed_frames:
        share = f"{pictures.changed * 100:.2f} % of the whole picture was replaced"
        result.say("redaction", OK, f"changed in {result.changed_frames} frames; {share}")
    else:
        result.say("redaction", DIFFERS, "no change was found in any frame: does it show a face?")
