"""Checks further videos and cover art of an output: that each is the verified output of its companion job."""

from pathlib import Path
from typing import Any

from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import COVER, OtherStream
from farm.errors import VerificationError
from farm.media.composing.redacted import RedactedStream
from farm.media.reading.probe import probe_output
from farm.media.verifying.packets import name_of, seconds
from farm.media.verifying.properties import display_properties, encoding_properties
from farm.media.verifying.verify_video import Video, parameter_sets


class RedactedVideo(Video):
    """Compares an output's stream with the companion's file: header, properties, bytes and times of all packets.

    Of a cover, which has no time in most containers, the times are not compared.
    """

    def __init__(
        self, path: Path, stream: Stream, other: OtherStream, redacted: RedactedStream, container: str
    ) -> None:
        """Raises VerificationError unless the stream has the properties of the companion's."""
        assert isinstance(stream, AvVideoStream)
        found, wanted = probe_output(path, stream.index).video, probe_output(redacted.path).video
        super().__init__(path, found, stream, redacted.manifest)
        self._other = other
        if other.kind == COVER:  # a picture is shown as its file says
            properties = [*encoding_properties(wanted, found)]
        else:
            properties = [*encoding_properties(wanted, found), *display_properties(wanted, found, container)]
        for pair in properties:
            if not pair.equal:
                raise VerificationError(f"{path}: {name_of(other)}: {pair.difference}")
        self._header = stream.codec_context.extradata or b""
        self._redacted = redacted
        self._planned = redacted.packets()

    def take(self, packet: "Packet[Any]") -> None:
        """See :meth:`Video.take`."""
        if not packet.size:
            return
        planned = next(self._planned, None)
        if planned is None:
            raise self.too_many()
        if not self.frames:
            self._check_header(planned)
        where = f"{self.path}: {name_of(self._other)}, packet {self.frames}"
        if bytes(packet) != bytes(planned):
            raise VerificationError(f"{where}: its bytes are not those of the redacted stream")
        if self._other.kind != COVER:
            pts = self.check_packet(packet)
            when = (planned.pts or 0) * planned.time_base
            if pts * packet.time_base != when:
                raise VerificationError(f"{where}: is at {seconds(pts * packet.time_base)}, not at {seconds(when)}")
        self.frames += 1

    def _check_header(self, packet: "Packet[Any]") -> None:
        codec = self._redacted.codec
        wanted = packet.stream.codec_context.extradata or b""
        if self._other.kind != COVER and parameter_sets(self._header, codec) != parameter_sets(wanted, codec):
            raise VerificationError(f"{self.path}: {name_of(self._other)}: its header is not the redacted stream's")

    def end(self) -> None:
        """See :meth:`Video.end`."""
        missing = next(self._planned, None)
        if missing is not None or self.frames != self._redacted.manifest.frames:
            raise VerificationError(
                f"{self.path}: {name_of(self._other)}: holds {self.frames} frames, not {self._redacted.manifest.frames}"
            )
