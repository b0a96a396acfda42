"""Recordings for the tests, made in code: tones, noise and silence, in every kind of file that PyAV can write."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

DATA = Path(os.environ.get("SIGNOFF_DATA", Path(__file__).parents[3] / "shared" / "data")) / "audio"
needs_speech = pytest.mark.skipif(not DATA.is_dir(), reason=f"no speech at {DATA}: set SIGNOFF_DATA")
RATE = 16_000

CODECS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "libmp3lame",
    "ogg": "libopus",
    "mp4": "aac",
    "mov": "alac",
    "webm": "libopus",
    "matroska": "pcm_s16le",
    "adts": "aac",
    "aiff": "pcm_s16be",
}
"""By FFmpeg's name of the file's kind."""

Samples = NDArray[np.int16]


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.int16)


def tone(seconds: float, hertz: float = 440) -> Samples:
    return (np.sin(np.arange(int(seconds * RATE)) * 2 * np.pi * hertz / RATE) * 12_000).astype(np.int16)


def noise(seconds: float) -> Samples:
    return np.random.default_rng(1).normal(0, 3_000, int(seconds * RATE)).astype(np.int16)


def tune(seconds: float) -> Samples:
    """Something like a piano."""
    chance = np.random.default_rng(2)
    length = RATE // 4
    time = np.arange(length) / RATE
    played = []
    for _ in range(int(seconds * 4)):
        hertz = 220 * 2 ** (chance.integers(24) / 12)
        overtones: Any = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, 6))
        played.append(overtones * np.exp(-time * 6))
    return (np.concatenate(played) * 9_000).astype(np.int16)


def wav(samples: Samples, rate: int = RATE, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(channels)
        made.setsampwidth(2)
        made.setframerate(rate)
        made.writeframes(np.repeat(samples, channels).astype("<i2").tobytes())
    return file.getvalue()


def encoded(samples: Samples, kind: str, codec: str = "", tracks: int = 1) -> bytes:
    """The samples as a file of one of `CODECS`."""
    file = io.BytesIO()
    name = codec or CODECS[kind]
    with av.open(file, "w", format=kind) as container:
        rate = 48_000 if "opus" in name else RATE
        streams: list[Any] = [container.add_stream(name, rate=rate, layout="mono") for _ in range(tracks)]
        for stream in streams:
            resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=stream.rate)
            fifo = av.AudioFifo()
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = RATE
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                part.pts = None
                fifo.write(part)
            while piece := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
                piece.pts = None
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
    return file.getvalue()


def film(seconds: int) -> bytes:
    """Pictures, and no sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5 * seconds):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


def speech(name: str) -> Samples:
    """One of the clips of real speech, as samples."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(DATA / name)) as container:
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
