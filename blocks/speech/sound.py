"""A recording's sound as numbers, a stretch at a time: two hours of it never are in memory at once.

FFmpeg's libraries, through PyAV, do the decoding. Called in the child only.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from blocks.documents.model import Unreadable
from blocks.speech.kinds import KINDS, Kind
from blocks.speech.limits import MOST_SECONDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 16_000
"""Samples a second, which is what Whisper hears."""
_RATES = range(4_000, 384_001)
"""Of a recording. At one sample a second, a small file would unpack to gigabytes."""
_MOST_CHANNELS = 32
CODECS = """
flac alac mp3 mp3float mp2 mp2float aac aac_latm opus libopus vorbis speex libspeex amrnb amrwb gsm gsm_ms wmav1 wmav2
wmapro ac3 eac3 adpcm_ima_wav adpcm_ms pcm_alaw pcm_mulaw pcm_u8 pcm_s8 pcm_s16le pcm_s16be pcm_s24le pcm_s24be
pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_f64be
"""
_CODECS = frozenset(CODECS.split())
"""What people record in. FFmpeg knows hundreds more, which nobody tests as much."""
_EXACT = frozenset({"flac", "mov"})
"""Kinds that say how long they are; of others FFmpeg says how long what is there is, or guesses."""
_OPTIONS = {
    "codec_whitelist": ",".join(sorted(_CODECS)),  # no picture is decoded, not even to look at it
    "protocol_whitelist": "none",  # no other file is opened, whatever this one says
}
_BROKEN = "it is broken: nothing in it can be played. Save or record it again"
_TOO_LONG = (
    f"it is longer than {MOST_SECONDS // 3600} hours, and no more of a recording is heard: cut it, and hear its parts"
)


class Sound:
    """A file that is known to be a recording. It can be decoded again and again."""

    def __init__(self, content: memoryview, kind: Kind) -> None:
        """Find out how long it is, by decoding all of it: what a header says of that may be missing, or a lie.

        Raises:
            Unreadable: it is broken, empty, too long, or has no sound.
            MemoryError: it needs too much.
        """
        self._content = content
        self._kind = kind
        self.damaged = 0
        """Pieces that could not be decoded, and are missing."""
        self.tracks = 0
        self._declared = 0.0
        length = 0.0
        for frame in self._frames():
            length += frame.samples / frame.sample_rate
            if length > MOST_SECONDS:
                raise Unreadable(_TOO_LONG)
        if not length:
            raise Unreadable(_BROKEN if self.damaged else "it holds no sound: it is empty")
        self.seconds = length
        self.promised = self._promised()
        """Seconds that it says it has, where one can rely on that; 0 where not."""

    def stretches(self) -> Iterator[NDArray[np.float32]]:
        """All of it, from -1 to 1, a few milliseconds or seconds at a time."""
        import av
        import numpy as np

        resampler: av.AudioResampler | None = None
        form: tuple[object, ...] = ()
        for frame in self._frames():
            if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):
                # Also in the midst of it: a radio's recording may change from stereo to mono and back.
                if resampler:
                    yield from _floats(resampler.resample(None), np)
                resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            frame.pts = None  # what it says of its time is not trusted: the samples are counted
            assert resampler
            yield from _floats(resampler.resample(frame), np)
        if resampler:
            yield from _floats(resampler.resample(None), np)

    def _frames(self) -> Iterator[Any]:
        """What the first track of sound is made of. Raises Unreadable."""
        import av

        self.damaged = 0
        with _named_errors(), av.open(_File(self._content), **self._how()) as container:
            self.tracks = len(container.streams.audio)
            if not self.tracks:
                raise Unreadable("it has no sound, only pictures or data")
            track = container.streams.audio[0]
            if track.codec_context is None or track.codec_context.name not in _CODECS:
                raise Unreadable("its sound is of a kind that is not heard: save it as mp3, m4a, wav, flac or opus")
            self._declared = float((track.duration or 0) * (track.time_base or 0))
            for packet in container.demux(track):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self.damaged += 1
                    continue
                for frame in frames:
                    _check(frame)
                    yield frame

    def _promised(self) -> float:
        seconds = self._declared if self._kind.demuxer in _EXACT else 0.0
        if self._kind is KINDS["wav"]:
            seconds = self.seconds * (int.from_bytes(self._content[4:8], "little") + 8) / len(self._content)
        # Whoever records without knowing the end writes the largest number that there is.
        return seconds if seconds <= MOST_SECONDS else 0.0

    def _how(self) -> dict[str, Any]:
        return {"format": self._kind.demuxer, "metadata_errors": "ignore", "options": _OPTIONS}


def _check(frame: Any) -> None:
    """Raises Unreadable when a recording of speech would not be like that."""
    if frame.sample_rate not in _RATES:
        raise Unreadable(f"it has {frame.sample_rate:,} samples a second, which no recording of speech has")
    if not 0 < frame.layout.nb_channels <= _MOST_CHANNELS:
        raise Unreadable(f"it has {frame.layout.nb_channels} channels; at most {_MOST_CHANNELS} are heard")


@contextmanager
def _named_errors() -> Iterator[None]:
    """What FFmpeg refuses is the file's fault. Raises Unreadable; what is wrong with memory stays a MemoryError."""
    import av

    try:
        yield
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        raise Unreadable(_BROKEN) from error


def _floats(frames: list[Any], np: Any) -> Iterator[NDArray[np.float32]]:
    for frame in frames:
        yield frame.to_ndarray().reshape(-1).astype(np.float32) / 32768.0


class _File(io.RawIOBase):
    """Bytes as a file that copies none but what is read; `BytesIO` would hold all of them twice."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._content[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}[whence]
        self._at = min(max(base + offset, 0), len(self._content))
        return self._at
