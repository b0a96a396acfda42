"""Recordings become words with their seconds; what is none, or is broken, becomes a reason for people."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from blocks.speech import MOST_BYTES, Ear, Transcript, Unreadable, Word, ear, hear, kinds, whisper
from blocks.speech.model import marked
from blocks.transcripts import from_segments
from blocks.vendor import VendorError
from tests.blocks import making_sound as making
from tests.blocks.making_sound import CODECS, encoded, needs_speech, noise, silence, speech, tone, tune, wav

NOBODY = "no speech was heard in it"


@pytest.fixture(scope="module")
def ears() -> Iterator[Ear]:
    """One child for all that harm none: it takes two seconds to start."""
    with Ear() as made:
        yield made


@pytest.fixture(scope="module")
def jfk(ears: Ear) -> Transcript:
    return ears.hear((making.DATA / "jfk.flac").read_bytes(), "jfk.flac")


@pytest.fixture(scope="module")
def digits(ears: Ear) -> Transcript:
    return ears.hear((making.DATA / "vosk_test.wav").read_bytes(), "vosk_test.wav")


def refused(ears: Ear, content: bytes, name: str = "a.wav", **how: Any) -> str:
    with pytest.raises(Unreadable) as error:
        ears.hear(content, name, **how)
    return str(error.value)


def test_importing_the_package_brings_no_library_with_it() -> None:
    heavy = ["faster_whisper", "ctranslate2", "av", "numpy", "onnxruntime", "tokenizers", "huggingface_hub"]
    program = f"import sys, blocks.speech; sys.exit(str([name for name in {heavy} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


# What is said.


@needs_speech
def test_every_word_has_its_seconds_and_how_sure_it_is(jfk: Transcript) -> None:
    assert jfk.text.replace(",", "").lower().startswith("and so my fellow americans")
    assert jfk.text.endswith("ask what you can do for your country.")
    assert (jfk.language, jfk.seconds, jfk.notes) == ("en", 11.0, ())
    assert jfk.language_probability > 0.8
    assert all(0 <= word.start <= word.end <= 11 and 0 < word.probability <= 1 for word in jfk.words)
    assert [word.start for word in jfk.words] == sorted(word.start for word in jfk.words)
    assert not any(word.number for word in jfk.words)


@needs_speech
def test_every_number_is_marked(digits: Transcript) -> None:
    assert digits.words
    assert all(word.number for word in digits.words)
    assert digits.sentences[0].number


@needs_speech
def test_the_same_recording_gives_the_same_words_each_time(ears: Ear, jfk: Transcript) -> None:
    assert ears.hear((making.DATA / "jfk.flac").read_bytes(), "jfk.flac") == jfk


@needs_speech
def test_numbers_after_a_sentence_are_not_passed_over(ears: Ear) -> None:
    # At first hearing, Whisper holds what follows the sentence for nothing.
    heard = ears.hear(wav(np.concatenate([speech("jfk.flac"), silence(0.5), speech("vosk_test.wav")])), "a.wav")
    numbers = [word for word in heard.words if word.number]
    assert numbers[0].start > 11
    assert numbers[-1].end > 17
    assert not any("not understood" in note for note in heard.notes)


@needs_speech
def test_what_is_said_where_one_window_ends_is_heard_whole_and_at_its_second(ears: Ear, jfk: Transcript) -> None:
    heard = ears.hear(wav(np.concatenate([silence(52), speech("jfk.flac"), silence(70), speech("jfk.flac")])), "a.wav")
    assert heard.seconds == 144.0
    first, second = heard.words[: len(heard.words) // 2], heard.words[len(heard.words) // 2 :]
    for half, begins in ((first, 52), (second, 133)):
        assert " ".join(word.text for word in half).endswith("what you can do for your country.")
        assert half[0].start == pytest.approx(begins, abs=1)
        assert half[-1].end == pytest.approx(begins + 10.4, abs=1)
    assert len(heard.words) == pytest.approx(2 * len(jfk.words), abs=2)


@needs_speech
@pytest.mark.parametrize("kind", CODECS)
def test_every_kind_of_file_is_heard(ears: Ear, kind: str) -> None:
    heard = ears.hear(encoded(speech("jfk.flac"), kind), "no name")
    assert heard.text.endswith("ask what you can do for your country.")
    assert heard.notes == ()


@needs_speech
def test_the_language_can_be_said(ears: Ear) -> None:
    heard = ears.hear((making.DATA / "vosk_test.wav").read_bytes(), "a.wav", language="de")
    assert (heard.language, heard.language_probability) == ("de", 1.0)
    with pytest.raises(ValueError, match=r"'klingon' is no language that can be heard: .*de.*en"):
        ears.hear(wav(tone(1)), "a.wav", language="klingon")


@needs_speech
def test_what_is_heard_is_a_transcript_of_a_meeting(jfk: Transcript) -> None:
    meeting = from_segments(jfk.sentences, "2026-11-02 Speech.m4a")
    assert meeting.heard
    assert meeting.lines[0].text.startswith("And so")
    assert meeting.lines[0].second == 0


# What is no speech.


@pytest.mark.parametrize("sound", [silence, tone, noise, tune])
def test_what_nobody_says_has_no_words_and_a_note(ears: Ear, sound: Callable[[float], making.Samples]) -> None:
    assert ears.hear(wav(sound(8)), "a.wav") == Transcript("", 0.0, 8.0, (), (NOBODY,))
    assert ears.hear(wav(sound(8)), "a.wav", language="de") == Transcript("de", 1.0, 8.0, (), (NOBODY,))


@pytest.mark.parametrize("kind", CODECS)
def test_a_file_is_told_by_what_it_holds(ears: Ear, kind: str) -> None:
    content = encoded(tone(2), kind)
    heard = ears.hear(content, "a.txt")
    assert heard.seconds == pytest.approx(2, abs=0.2)
    assert heard.notes == (NOBODY,)
    wrong = ears.hear(content, "a.amr").notes
    assert wrong == (f"it is named .amr and is {kinds.kind_of(content).title}: it was heard as that", NOBODY)


def test_a_long_recording_asks_for_time_again_and_again(ears: Ear) -> None:
    asked: list[bool] = []
    ears.hear(wav(silence(150)), "a.wav", asks_for_time=lambda: asked.append(True))
    assert len(asked) == 3


def test_of_several_tracks_the_first_is_heard(ears: Ear) -> None:
    assert ears.hear(encoded(tone(1), "matroska", tracks=2), "a.mka").notes == (
        "it has 2 tracks of sound; only the first was heard",
        NOBODY,
    )


# What cannot be heard.


NO_RECORDING = "it is no recording that can be heard: save it as mp3, m4a, wav, flac, ogg, opus or webm"
BROKEN = "it is broken: nothing in it can be played. Save or record it again"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (bytes(100_000), "it is empty"),
        (b"%PDF-1.7\n", NO_RECORDING),
        (b"Hello, this is no sound.", NO_RECORDING),
        ("Hello".encode("utf-16"), NO_RECORDING),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", NO_RECORDING),
        (b"RIFF\x24\0\0\0WEBPVP8 ", NO_RECORDING),
        (wav(silence(0)), "it holds no sound: it is empty"),
        (b"RIFF\xff\xff\xff\xffWAVE" + b"\xff" * 500, BROKEN),
        (b"fLaC" + bytes(100), BROKEN),
        (b"OggS" + b"\xff" * 1_000, BROKEN),
        (b"\x1aE\xdf\xa3" + b"\xff" * 500, BROKEN),
        (b"ID3\x04\0\0\0\0\0\x05hello" + b"\xff\xfb\x90\x64" * 3, BROKEN),
        (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + bytes(1_000), BROKEN),
        (encoded(tone(3), "mp4")[:9_000], BROKEN),  # where its index is missing, which is written last
        (making.film(1), "it has no sound, only pictures or data"),
        (encoded(tone(1), "wav", "adpcm_g722"), "its sound is of a kind that is not heard: "),
        (wav(tone(1), rate=1), "it has 1 samples a second, which no recording of speech has"),
        (wav(tone(1), rate=2_000_000), "it has 2,000,000 samples a second, which no recording of speech has"),
        (wav(tone(1), channels=255), "it has 255 channels; at most 32 are heard"),
    ],
)
def test_what_is_no_sound_is_refused_with_the_reason(ears: Ear, content: bytes, reason: str) -> None:
    assert refused(ears, content).startswith(reason)


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.slow
def test_no_damage_is_a_crash(ears: Ear, kind: str) -> None:
    whole = encoded(tune(2), kind)
    chance = np.random.default_rng(3)
    ears.hear(whole, "a")
    before = ears._child
    for _ in range(5):
        bad = bytearray(whole)
        for at in chance.integers(0, len(bad), 40):
            bad[at] = chance.integers(256)
        del bad[int(chance.integers(len(bad) // 2, len(bad))) :]
        with contextlib.suppress(Unreadable):
            ears.hear(bytes(bad), "a")
    assert ears._child is before


def test_a_recording_that_breaks_off_is_heard_as_far_as_it_goes(ears: Ear) -> None:
    reason = "it ends at 0:00:{}, and should last until 0:01:00: the rest is missing"
    heard = ears.hear(wav(tone(60))[: 44 + 10 * 32_000], "a.wav")
    assert (heard.seconds, heard.notes) == (10.0, (reason.format("10"), NOBODY))
    flac = encoded(noise(60), "flac")
    assert reason.format("30") in ears.hear(flac[: len(flac) // 2], "a.flac").notes


def test_damage_within_a_recording_is_told(ears: Ear) -> None:
    whole = encoded(tone(20), "mp3")
    middle = len(whole) // 2
    heard = ears.hear(whole[:middle] + b"\xff\xfb\x90\x64" + b"\xff\0" * 2_000 + whole[middle + 4_000 :], "a.mp3")
    assert heard.notes[0] == "it is damaged: pieces of it could not be played, and what was said there is missing"


def test_more_than_two_hours_are_refused_with_the_way_out(ears: Ear) -> None:
    long = wav(np.zeros(4_000 * 7_201, np.int16), rate=4_000)
    reason = "it is longer than 2 hours, and no more of a recording is heard: cut it, and hear its parts"
    assert refused(ears, long) == reason


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_how_long_it_is_is_counted_and_not_believed(ears: Ear, size: int) -> None:
    # Whoever records does not know the end when he writes the beginning.
    endless = wav(tone(2))
    endless = endless[:4] + size.to_bytes(4, "little") + endless[8:40] + size.to_bytes(4, "little") + endless[44:]
    assert ears.hear(endless, "a.wav") == Transcript("", 0.0, 2.0, (), (NOBODY,))


def test_a_file_that_is_too_large_is_refused_before_anything_is_done(ears: Ear) -> None:
    reason = f"it has {MOST_BYTES + 1:,} bytes; at most {MOST_BYTES:,} are heard: save it as mp3 or m4a"
    assert refused(ears, bytes(MOST_BYTES + 1)) == reason


def test_no_other_file_is_opened_whatever_this_one_says(ears: Ear, tmp_path: Any) -> None:
    (tmp_path / "other.wav").write_bytes(wav(tone(1)))
    playlist = f"ffconcat version 1.0\nfile '{tmp_path}/other.wav'\n".encode()
    for name in ("a.ffconcat", "a.wav", "a.m3u8"):
        assert refused(ears, playlist, name) == NO_RECORDING
    # Within what looks like a recording, too: only that kind of file is looked for.
    assert refused(ears, b"ID3\x04\0\0\0\0\0\0" + playlist, "a.mp3") == BROKEN


# Weights.


def test_changed_weights_are_never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(whisper._SHA256, "model.bin", "0" * 64)
    with pytest.raises(
        VendorError, match=r"model.bin of Whisper has changed: .*pinned is 000.*Run `make install`"
    ) as error:
        whisper.Whisper()
    assert error.value.permanent


def test_missing_weights_are_an_error_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ear, "_COMMAND", ["-c", WITHOUT])
    with Ear() as made, pytest.raises(VendorError, match=r"package no-such-weights, .* is missing. Run `make install`"):
        made.hear(wav(tone(1)), "a.wav")


WITHOUT = """
from blocks.speech import child, whisper
whisper._PARTS = ("no_such_weights",)
child.main(1_200_000_000)
"""


# One child for this process.


def test_hear_keeps_its_child_for_the_next_file() -> None:
    try:
        assert hear(wav(tone(1)), "a.wav").notes == (NOBODY,)
        first = ear._shared()._child
        assert hear(encoded(tone(1), "mp3"), "a.mp3").notes == (NOBODY,)
        assert first
        assert ear._shared()._child is first
    finally:
        ear._shared().close()


# Sentences.


def said(text: str, pause: float = 0.1) -> Transcript:
    """Each word takes 0.3 seconds; `|` is a pause of two."""
    words, at = [], 0.0
    for word in text.split():
        if word == "|":
            at += 2
        else:
            words.append(Word(word, at, at + 0.3, 0.9))
            at += 0.3 + pause
    return Transcript("en", 1.0, at, marked(words))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Yes. Is it? Go!", ["Yes.", "Is it?", "Go!"]),
        ("well I | think so", ["well I", "think so"]),
        ("Ask Dr. Berg. Now", ["Ask Dr. Berg.", "Now"]),
        ("am 3. Mai um 4. | Ja", ["am 3. Mai um 4.", "Ja"]),
        ("今天 很 好。 谢谢", ["今天很好。", "谢谢"]),
        ("a " * 70, ["a " * 59 + "a", "a " * 9 + "a"]),
        ("", []),
    ],
)
def test_sentences_end_at_full_stops_and_long_pauses(text: str, sentences: list[str]) -> None:
    heard = said(text)
    assert [sentence.text for sentence in heard.sentences] == sentences
    assert [word for sentence in heard.sentences for word in sentence.words] == list(heard.words)


def test_a_sentence_knows_its_seconds_and_its_numbers() -> None:
    first, second = said("We need five seats. Please send it.").sentences
    assert (first.start, first.number, second.number) == (0.0, True, False)
    assert second.start > first.end
    assert first.probability == pytest.approx(0.9)
