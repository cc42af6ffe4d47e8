"""Clips with one property each, made by ffmpeg: the input of the matrix and of the mutations.

All show the same 40 pictures: a soft background and two bright green patches, which the stub detector reports as faces.
"""

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from farm.executables import find_ffmpeg

_SECONDS = 1.33
_GREEN = "between(X,12+N,46+N)*between(Y,20,62)+between(X,100-N/2,128-N/2)*between(Y,74,104)"
_PICTURE = (
    f"nullsrc=s=160x120:r=30:d={_SECONDS},format=yuv444p,"
    f"geq=lum='if({_GREEN},150,78+40*sin((X+N)/9)*cos(Y/11)+20*mod(floor(X/3)+floor(Y/3),2))':"
    f"cb='if({_GREEN},54,128+20*sin(X/20))':cr='if({_GREEN},34,128+20*cos(Y/20))'"
)
_SUBTITLE = "1\n00:00:00,100 --> 00:00:00,600\nfirst\n\n2\n00:00:00,700 --> 00:00:01,200\nsecond\n"
_CHAPTERS = (
    ";FFMETADATA1\ntitle=Matrix\nartist=Somebody\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=700\ntitle=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=700\nEND=1333\ntitle=Two\n"
)
_WORDS = {
    "tone": f"-f lavfi -i sine=sample_rate=48000:duration={_SECONDS}",
    "x264": "-c:v libx264 -preset veryfast -crf 16 -g 10 -keyint_min 10 -sc_threshold 0 -bf 2 -pix_fmt yuv420p",
    "x265": "-c:v libx265 -preset ultrafast -crf 16 -tag:v hvc1 -pix_fmt yuv420p"
    " -x265-params log-level=error:keyint=10:scenecut=0",
    "aom": "-c:v libaom-av1 -cpu-used 8 -crf 20 -g 10 -row-mt 1",
    "svt": "-c:v libsvtav1 -preset 12 -crf 20 -g 10 -pix_fmt yuv420p",
    "vpx": "-threads 1 -deadline realtime -cpu-used 8 -crf 16 -b:v 2M -g 10 -pix_fmt yuv420p",
    "mpeg2": "-c:v mpeg2video -q:v 3 -g 10",
    "mpeg4": "-c:v mpeg4 -q:v 3 -g 10",
    "prores": "-c:v prores_ks",
    "exact": "-fps_mode passthrough -enc_time_base 1/90000 -video_track_timescale 90000",
    "hdr10": "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range tv",
    "layers": "{picture} {tone} -f lavfi -i sine=frequency=880:sample_rate=48000:duration=1.33 -i {folder}/words.srt"
    " -i {folder}/words.srt -i {folder}/chapters.txt -i {folder}/cover.png"
    " -map 0:v -map 1:a -map 2:a -map 3:s -map 4:s -map_metadata 5"
    " -map_chapters 5 {x264} -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -metadata:s:s:0 language=eng"
    " -metadata:s:s:1 language=fra -disposition:a:0 0 -disposition:a:1 default"
    " -metadata creation_time=2020-01-02T03:04:05Z",
}
_HELD_BY_FFV1 = (
    "yuv420p", "yuv422p10le", "yuv444p16le", "gray", "gray10le", "gray16le", "yuva420p", "bgra", "gbrp10le",
)  # fmt: skip
_HDR = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:hdr10=1:repeat-headers=1"
_MASTERING = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"

#: Name to the arguments of ``ffmpeg``; ``&&`` separates runs. ``{picture}``: the pictures as an input.
CLIPS: dict[str, str] = {
    # time
    "cfr.mp4": "{picture} {tone} {x264} -c:a aac",
    "vfr.mp4": "{picture} {tone} -vf settb=1/90000,setpts=N*3000+mod(N*N\\\\,7)*211 {x264} {exact}",
    "vfr.mkv": "{picture} -vf settb=1/1000,setpts=N*33+mod(N*N\\\\,7)*3 {x264} -fps_mode passthrough",
    "late.mp4": "{picture} {tone} {x264} -output_ts_offset 7.3 -movflags +frag_keyframe",
    "late.mkv": "{picture} {tone} {x264} -output_ts_offset 5000",
    "empty_edit.mp4": "{picture} {tone} {x264} -output_ts_offset 2",
    "ntsc.mp4": "-r 60000/1001 {picture} {x264}",
    "long_gop.mp4": "{picture} {x264} -g 999",
    "open_gop.mp4": "{picture} {tone} {x264} -x264-params open-gop=1:b-pyramid=normal:scenecut=0 -bf 3",
    "open_gop.ts": "{picture} {tone} {x264} -x264-params open-gop=1:b-pyramid=normal:scenecut=0 -bf 3",
    "open_gop_hevc.mp4": "{picture} {x265}:open-gop=1:bframes=3",
    "not_on_key.ts": "{picture} {tone} {x264} -muxdelay 0 {prev}.ts"
    " && -i {prev}.ts -c copy -bsf:v noise=drop='eq(n\\,0)'",
    "jump.mkv": "{picture} -vf settb=1/1000,setpts=N*40+gte(N\\\\,20)*30000 {x264} -fps_mode passthrough",
    "edit_list.mp4": "{picture} {tone} {x264} -c:a aac {prev}.mp4 && -ss 0.5 -i {prev}.mp4 -c copy",
    "hour.ts": "{picture} {tone} {x264} -output_ts_offset 3600",
    "last_long.mp4": "{picture} {x264} -bf 0 {exact} -bsf:v setts=duration='if(eq(N\\,39)\\,30000\\,DURATION)'",
    "one_frame.mp4": "{picture} {x264} -frames:v 1",
    # pixels
    **{
        f"h264_{p}.mp4": f"{{picture}} {{x264}} -pix_fmt {p}"
        for p in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuvj420p", "gray")
    },
    **{
        f"hevc_{p}.mp4": f"{{picture}} {{x265}} -pix_fmt {p}"
        for p in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le")
    },
    **{f"av1_{p}.mkv": f"{{picture}} {{svt}} -pix_fmt {p}" for p in ("yuv420p", "yuv420p10le")},
    "av1_yuv444p.mkv": "{picture} {aom} -pix_fmt yuv444p",
    "av1.mp4": "{picture} {tone} {svt} -pix_fmt yuv420p",
    **{
        f"vp9_{p}.webm": f"{{picture}} -c:v libvpx-vp9 {{vpx}} -pix_fmt {p}"
        for p in ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le")
    },
    **{f"ffv1_{p}.mkv": f"{{picture}} -c:v ffv1 -pix_fmt {p}" for p in _HELD_BY_FFV1},
    **{
        f"prores_{n}.mov": f"{{picture}} {{prores}} -profile:v {n} -pix_fmt {p}"
        for n, p in ((2, "yuv422p10le"), (4, "yuv444p10le"))
    },
    "alpha_prores.mov": "{picture} -vf format=yuva444p10le,"
    "geq=lum=lum(X\\\\,Y):cb=cb(X\\\\,Y):cr=cr(X\\\\,Y):a=4*X {prores}"
    " -profile:v 4 -pix_fmt yuva444p10le",
    "alpha_vp9.webm": "{picture} -c:v libvpx-vp9 {vpx} -auto-alt-ref 0 -pix_fmt yuva420p",
    "full_range_hevc.mp4": "{picture} {x265}:range=full -vf scale=out_range=pc -color_range pc -pix_fmt yuv420p",
    "colours.mkv": "{picture} {x264} -pix_fmt yuv420p -color_primaries bt709 -color_trc bt709 -colorspace bt709",
    "hdr10.mp4": f"{{picture}} {{x265}}:{_HDR}:{_MASTERING} -pix_fmt yuv420p10le {{hdr10}}",
    "hdr10.mkv": f"{{picture}} {{x265}}:{_HDR}:{_MASTERING} -pix_fmt yuv420p10le {{hdr10}}",
    "hlg.mp4": "{picture} {x265}:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc -pix_fmt yuv420p10le"
    " -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc",
    "anamorphic.mp4": "{picture} {x264} -vf setsar=4/3",
    "anamorphic.mkv": "{picture} {x264} -vf setsar=4/3",
    # orientation
    **{
        f"{'mirrored' if mirror else 'turned'}_{turn}.mp4": "{picture} {tone} {x264} {prev}.mp4 && "
        f"-display_rotation {turn} {'-display_hflip' if mirror else ''} -i {{prev}}.mp4 -c copy"
        for mirror in (False, True)
        for turn in (0, 90, 180, 270)
    },
    "turned_90.mkv": "{picture} {x264} {prev}.mkv && -display_rotation 90 -i {prev}.mkv -c copy",
    # sizes
    "odd_vp9.webm": "{picture} -vf scale=161:121,setsar=1 -c:v libvpx-vp9 {vpx}",
    "odd_vp8.webm": "{picture} -vf scale=161:121,setsar=1 -c:v libvpx {vpx}",
    "odd_ffv1.mkv": "{picture} -vf scale=161:121,setsar=1 -c:v ffv1 -pix_fmt yuv420p",
    "odd_mjpeg.avi": "{picture} -vf scale=161:121,setsar=1 -c:v mjpeg -q:v 2 -pix_fmt yuvj420p",
    "odd_h264.mp4": "{picture} -vf scale=161:121,setsar=1 {x264} -pix_fmt yuv444p",
    "resized.ts": "{picture} {x264} {prev}.a.ts"
    " && {picture} -vf scale=192:144 -output_ts_offset 1.5 {x264} {prev}.b.ts"
    " && -i concat:{prev}.a.ts|{prev}.b.ts -c copy -copyts",
    # interlaced
    "tff_h264.mp4": "{picture} {tone} -vf setfield=tff {x264} -flags +ildct+ilme -x264-params tff=1",
    "bff_h264.mkv": "{picture} -vf setfield=bff {x264} -flags +ildct+ilme -x264-params bff=1",
    "tff_mpeg2.ts": "{picture} -vf setfield=tff {mpeg2} -flags +ildct+ilme -field_order tt",
    "bff_mpeg2.mkv": "{picture} -vf setfield=bff {mpeg2} -flags +ildct+ilme -field_order bb",
    "tff_prores.mov": "{picture} -vf setfield=tff {prores} -flags +ildct -pix_fmt yuv422p10le",
    # codecs and containers
    "vp8.webm": "{picture} {tone} -c:v libvpx {vpx} -c:a libvorbis",
    "mpeg2.ts": "{picture} {tone} {mpeg2} -bf 2 -c:a mp2",
    "mpeg2.mp4": "{picture} {mpeg2} -bf 2",
    "mpeg2.mkv": "{picture} {mpeg2} -bf 2",
    "mpeg4.avi": "{picture} {tone} {mpeg4} -bf 2 -c:a mp3",
    "mpeg4.mp4": "{picture} {tone} {mpeg4} -bf 2",
    "mjpeg.avi": "{picture} {tone} -c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s16le",
    "no_b_mpeg4.avi": "-r 24000/1001 {picture} {tone} {mpeg4} -c:a ac3",
    "h264.avi": "{picture} {tone} {x264} -bf 0 -c:a mp3",
    "mpeg1.mpg": "-r 25 {picture} {tone} -c:v mpeg1video -q:v 3 -g 10 -c:a mp2",
    "mpeg2.mpg": "{picture} {tone} {mpeg2} -bf 2 -c:a mp2",
    "tff_mpeg2.vob": "-r 25 {picture} {tone} -vf setfield=tff,setsar=1 {mpeg2} -flags +ildct+ilme -c:a ac3",
    "mpeg4.3gp": "-r 25 {picture} {tone} -vf scale=176:144,setsar=1 {mpeg4} -c:a libopencore_amrnb -ar 8000 -ac 1"
    " -b:a 12.2k",
    "h264.3g2": "{picture} {tone} {x264} -c:a aac",
    "camera.mts": "{picture} {tone} {x264} -c:a ac3 -mpegts_m2ts_mode 1",
    "mjpeg.mov": "{picture} -c:v mjpeg -q:v 2 -pix_fmt yuvj420p",
    "hevc.ts": "{picture} {tone} {x265}",
    "flash.flv": "{picture} {tone} {x264} -c:a aac",
    "raw_video.avi": "{picture} -c:v rawvideo -pix_fmt yuv420p",
    "huffyuv.mkv": "{picture} -c:v huffyuv -pix_fmt yuv422p",
    "known_matrix.mov": "{picture} -c:v ffv1 -pix_fmt yuv444p -colorspace bt470bg -movflags write_colr",
    "bare.h264": "{picture} {x264}",
    "bare.hevc": "{picture} {x265}",
    "moving.gif": "{picture} -vf fps=20",
    # the rest
    "layers.mkv": "{layers} -c:a libopus -c:s subrip -attach {folder}/words.srt -metadata:s:t:0 mimetype=text/plain"
    " -attach {folder}/cover.png -metadata:s:t:1 mimetype=image/png -metadata:s:t:1 filename=cover.png",
    "tracks.mkv": "{layers} -c:a libopus -c:s subrip -attach {folder}/words.srt -metadata:s:t:0 mimetype=text/plain",
    "layers.mp4": "{layers} -c:a aac -c:s mov_text -map 6 -c:v:1 copy -disposition:v:1 attached_pic"
    " -metadata location=+27.5916+086.5640+8850/",
}


@dataclass(frozen=True, slots=True)
class Kitchen:
    """Creates clips in a folder, each clip once."""

    folder: Path

    def clip(self, name: str, recipe: str | None = None) -> Path:
        """Return the path of the clip called ``name``; do not modify the file."""
        path = self.folder / name
        if path.exists():
            return path
        self._lay_out()
        unfinished = self.folder / f".unfinished.{name}"
        runs = self._spelt_out(recipe or CLIPS[name], name).split(" && ")
        for number, words in enumerate(runs, start=1):
            _ffmpeg(words, *([unfinished] if number == len(runs) else []))
        return unfinished.rename(path)

    def _lay_out(self) -> None:
        """Create the files that the clips are made from."""
        if (self.folder / "cover.png").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "words.srt").write_text(_SUBTITLE)
        (self.folder / "chapters.txt").write_text(_CHAPTERS)
        _ffmpeg(f'-f lavfi -i "{_PICTURE}" -c:v ffv1', self.folder / "pictures.nut")
        _ffmpeg("-f lavfi -i testsrc2=size=32x32 -frames:v 1", self.folder / "cover.png")

    def _spelt_out(self, recipe: str, name: str) -> str:
        words = _WORDS | {
            "picture": f"-i {self.folder / 'pictures.nut'}",
            "folder": str(self.folder),
            "prev": str(self.folder / f".before.{name}"),
        }
        while "{" in recipe:
            recipe = recipe.format_map(words)
        return recipe


def _ffmpeg(words: str, *out: Path) -> None:
    command = [str(find_ffmpeg().path), "-nostdin", "-y", "-v", "error", *shlex.split(words), *map(str, out)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, f"{shlex.join(command)}\n{ended.stderr}"
