"""A file of any kind to a `Sheet`: what is printed by reading it, what is said by hearing it."""

from __future__ import annotations

from pathlib import PurePosixPath

from blocks.documents import MOST_BYTES, Reader, Sheet, Unreadable
from blocks.documents.sheet import from_speech


def is_sound(content: bytes, name: str, mime_type: str | None = None) -> bool:
    """Whether it is a recording, by its name, its type or its first bytes."""
    from blocks.speech.kinds import SUPPORTED, kind_of

    if PurePosixPath(name).suffix.lower() in SUPPORTED or (mime_type or "").startswith(("audio/", "video/")):
        return True
    try:
        kind_of(content)
    except Unreadable:
        return False
    return True


def look(reader: Reader, content: bytes, name: str, mime_type: str | None = None) -> Sheet:
    """The words of a document or a voice note, each with its place or its second.

    Raises:
        Unreadable: with the reason.
        VendorError: permanent; what hears is missing, or is not what we pinned.
    """
    if len(content) <= MOST_BYTES and is_sound(content, name, mime_type):
        from blocks import speech

        heard = speech.hear(content, name)
        if not heard.words:
            raise Unreadable("no speech is heard in it")
        words = ((word.text, word.start, word.probability) for word in heard.words)
        return from_speech(words, ("it was heard: listen to every number in it", *heard.notes))
    return reader.look(content, name, mime_type)
