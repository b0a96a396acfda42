"""What kind of recording it is: by its first bytes. The name only serves to say that it is wrong.

FFmpeg is told which kind to read. If it were to find out by itself, a text could pass for a playlist, and make it open
other files of this machine, or addresses.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from blocks.documents.model import Unreadable


@dataclass(frozen=True)
class Kind:
    """A container of sound."""

    demuxer: str
    """FFmpeg's name of it."""
    title: str
    extensions: tuple[str, ...]


_WAV = Kind("wav", "a WAV file", (".wav", ".wave"))
_FLAC = Kind("flac", "a FLAC file", (".flac",))
_MP3 = Kind("mp3", "an MP3 file", (".mp3", ".mp2", ".mpga", ".mpeg"))
_OGG = Kind("ogg", "an Ogg file", (".ogg", ".oga", ".opus", ".ogv", ".spx"))
_MP4 = Kind("mov", "an MPEG-4 file", (".m4a", ".mp4", ".m4b", ".m4v", ".mov", ".3gp", ".3g2", ".aac"))
_MATROSKA = Kind("matroska", "a WebM or Matroska file", (".webm", ".weba", ".mkv", ".mka"))
_AAC = Kind("aac", "an AAC stream", (".aac", ".adts"))
_AMR = Kind("amr", "an AMR file", (".amr", ".awb", ".3gp"))
_AIFF = Kind("aiff", "an AIFF file", (".aif", ".aiff", ".aifc"))
_CAF = Kind("caf", "a Core Audio file", (".caf",))
_ASF = Kind("asf", "a Windows Media file", (".wma", ".asf", ".wmv"))
KINDS = {kind.demuxer: kind for kind in (_WAV, _FLAC, _MP3, _OGG, _MP4, _MATROSKA, _AAC, _AMR, _AIFF, _CAF, _ASF)}

SUPPORTED = frozenset(extension for kind in KINDS.values() for extension in kind.extensions)
"""The extensions, in lower case with their dot, under which one finds recordings that can be heard."""

_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"fLaC", _FLAC),
    (0, b"OggS", _OGG),
    (0, b"\x1aE\xdf\xa3", _MATROSKA),
    (4, b"ftyp", _MP4),
    (4, b"moov", _MP4),  # QuickTime of the old kind
    (0, b"#!AMR", _AMR),
    (0, b"caff", _CAF),
    (0, b"0&\xb2u\x8ef\xcf\x11", _ASF),
)
_RIFF = (b"RIFF", b"RF64", b"BW64")
_NONE = "it is no recording that can be heard: save it as mp3, m4a, wav, flac, ogg, opus or webm"


def kind_of(content: bytes) -> Kind:
    """What to read it as.

    Raises:
        Unreadable: it is empty, or no recording.
    """
    if not content[:4096].strip(b"\0") and not content.strip(b"\0"):
        raise Unreadable("it is empty")
    head = content[_after_tag(content) :][:16]
    if found := next((kind for at, magic, kind in _MAGIC if head[at : at + len(magic)] == magic), None):
        return found
    if head[:4] in _RIFF and head[8:12] == b"WAVE":
        return _WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _AIFF
    if found := _by_sync(head):
        return found
    if content[:3] == b"ID3":  # an MP3 with something between its tag and its sound
        return _MP3
    raise Unreadable(_NONE)


def misnamed(kind: Kind, name: str) -> str:
    """A note for people when the name promises something else; empty when it does not, or promises nothing."""
    extension = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    if extension in kind.extensions or extension not in SUPPORTED:
        return ""
    return f"it is named {extension} and is {kind.title}: it was heard as that"


def _after_tag(content: bytes) -> int:
    """Where the sound begins after a tag of titles and pictures (ID3), which may stand before any kind."""
    if content[:3] != b"ID3" or len(content) < 10:
        return 0
    size = 0
    for part in content[6:10]:
        size = size << 7 | part & 0x7F
    return 10 + size


def _by_sync(head: bytes) -> Kind | None:
    """MP3 and AAC have no name of their own: each frame begins with eleven bits that are set."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if layer == 0:
        return _AAC if head[1] & 0xF0 == 0xF0 and head[2] >> 2 & 15 < 13 else None
    # Layer I, which nobody records in, is what a text in UTF-16 would be taken for.
    sound = layer != 3 and head[1] >> 3 & 3 != 1 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3
    return _MP3 if sound else None
