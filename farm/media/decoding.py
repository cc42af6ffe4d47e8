"""How a video decoder is set up where no damage may pass: the one place that chooses its threads and its strictness."""

from av.video.stream import VideoStream

#: With these a decoder raises where it would otherwise conceal damage.
STRICT = {"err_detect": "explode"}
#: Decoders that may share their work frame by frame: they raise for damage or do not notice it, whatever the threads.
_THREADED = frozenset({"hevc", "vp8", "vp9", "av1"})


def set_up_decoder(stream: VideoStream, threads: int, options: dict[str, str]) -> None:
    """To be called before the first packet is decoded. ``options`` are the decoder's own.

    All others, H.264's first of all, get one thread: they conceal damage and flag the frame as corrupt. Threads that
    share a frame's slices hardly ever set that flag, and with a frame each it may come after the frame was handed out
    (measured, FFmpeg 8: 2 of 144 damaged clips passed on a busy machine, and one passed with ``err_detect``, too).
    """
    threads = threads if stream.codec_context.codec.canonical_name in _THREADED else 1
    stream.codec_context.thread_count = max(threads, 1)
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    stream.codec_context.options = dict(options)
