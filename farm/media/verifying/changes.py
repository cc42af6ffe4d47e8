"""Where what the frames say of themselves changes in the middle of a video."""

from dataclasses import dataclass, field
from fractions import Fraction

from av.video.frame import VideoFrame

from farm.media.reading.frame_facts import frame_facts
from farm.media.verifying.packets import seconds


@dataclass(slots=True)
class Changes:
    """Whether an output changes where its source does. ``fault``: a line on the first frame where only one of them is
    other than at the beginning; None while there is none.
    """

    fault: str | None = None
    _first: tuple[dict[str, object], dict[str, object]] | None = field(default=None)

    def take(self, number: int, when: Fraction, source: VideoFrame, output: VideoFrame) -> None:
        """Looks at a frame at ``when`` seconds of both."""
        ours, theirs = frame_facts(source), frame_facts(output)
        if self._first is None:
            self._first = ours, theirs
        if self.fault is not None:
            return
        for name, value in ours.items():
            changed = value != self._first[0][name], theirs[name] != self._first[1][name]
            # an interlaced stream may hold progressive frames, which lose nothing by being coded as two fields
            if changed[0] != changed[1] and not (name == "fields" and theirs[name]):
                which = ("the output", "the source")[changed[0]]
                self.fault = f"frame {number} at {seconds(when)}: its {name} changes in {which} only"
                return
