"""Recordings as the words that were said, each with its seconds and how sure the ear is; on this machine, with no key.

`hear` does it in a process of its own, which a hostile file may kill without any harm done, and gives a `Transcript` or
raises `Unreadable` with a reason for people. Nothing is downloaded, and nothing heavy is imported by whoever does not
hear. A number that was heard is marked (`Word.number`): whoever listens hears fifteen for fifty, and so does Whisper.
"""

from blocks.documents.model import Unreadable
from blocks.speech.ear import Ear, hear
from blocks.speech.kinds import SUPPORTED
from blocks.speech.limits import MOST_BYTES, MOST_SECONDS
from blocks.speech.model import Sentence, Transcript, Word

__all__ = [
    "MOST_BYTES",
    "MOST_SECONDS",
    "SUPPORTED",
    "Ear",
    "Sentence",
    "Transcript",
    "Unreadable",
    "Word",
    "hear",
]
