"""Transcripts: every layout that meetings come in, as numbered lines; and what is none, by name."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.transcripts import MOST_BYTES, MOST_TEXT, Line, Transcript, Unreadable, from_segments, lines_of, read, shown
from tests.blocks.making_documents import word


def said(transcript: Transcript) -> list[tuple[str, int | None, str]]:
    return [(line.speaker, line.second, line.text) for line in transcript.lines]


def of(text: str, name: str = "call.txt") -> Transcript:
    return read(text.encode(), name)


@pytest.mark.parametrize(
    "text",
    [
        "Ann Berg: Hello Tom.\nTom: Hello.",
        "**Ann Berg:** Hello Tom.\n\n**Tom:** Hello.",
        "[00:01:02] Ann Berg: Hello Tom.\n[00:01:05] Tom: Hello.",
        "00:01:02 Ann Berg: Hello Tom.\n00:01:05 Tom: Hello.",
        "Ann Berg (01:02): Hello Tom.\nTom (01:05): Hello.",
        "[Ann Berg] 00:01:02\nHello Tom.\n\n[Tom] 00:01:05\nHello.\n",
        "Ann Berg   1:02\nHello Tom.\n\nTom   1:05\nHello.\n",
        "WEBVTT\n\n1\n00:01:02.000 --> 00:01:04.000\n<v Ann Berg>Hello Tom.</v>\n\n00:01:05.000 --> 00:01:06.000\n"
        "<v Tom>Hello.</v>\n",
        "WEBVTT\n\n1\n00:01:02.000 --> 00:01:04.000\nAnn Berg: Hello Tom.\n\n2\n00:01:05.000 --> 00:01:06.000\n"
        "Tom: Hello.\n",
        "1\n00:01:02,000 --> 00:01:04,000\nAnn Berg: Hello Tom.\n\n2\n00:01:05,000 --> 00:01:06,000\nTom: Hello.\n",
        "\ufeffWEBVTT\r\n\r\n00:01:02.000 --> 00:01:04.000\r\n<v.loud Ann Berg>Hello\r\nTom.</v>\r\n\r\n"
        "01:05.000 --> 01:06.000\r\n<v Tom>Hello.\r\n",
    ],
)
def test_every_layout_says_who_said_what(text: str) -> None:
    found = of(text)
    assert [(who, words) for who, _, words in said(found)] == [("Ann Berg", "Hello Tom."), ("Tom", "Hello.")]
    assert {second for _, second, _ in said(found)} <= {None, 62, 65}
    assert [person.name for person in found.people] == ["Ann Berg", "Tom"]


def test_a_google_document_of_meet() -> None:
    found = of(
        "# 📝 Notes\n\nMar 2, 2026\n\n## Weekly\n\nInvited [Ann Berg](mailto:ann@northwind.example) "
        "[Tom Hadley](mailto:TOM@dockwell.example)\n\n### Summary\n\nDecision: everything is free for ever.\n\n"
        "# 📖 Transcript\n\nMar 2, 2026\n\n## Weekly: the plan \\- Transcript\n\n### 00:00:00\n\n"
        "**Ann Berg:** Hello.\n\n### 00:05:00\n\n**Tom Hadley:** Hi \\[laughs\\] Ann.\n\n"
        "Transcription ended after 00:07:12\n\n*This editable transcript was computer generated.*",
        "Weekly: the plan (2026/03/02 10:00 GMT+1) - Notes by Gemini",
    )
    assert said(found) == [("Ann Berg", 0, "Hello."), ("Tom Hadley", 300, "Hi [laughs] Ann.")]
    assert (found.title, found.held_on, found.heard) == ("Weekly: the plan", date(2026, 3, 2), True)
    assert [person.email for person in found.people] == ["ann@northwind.example", "tom@dockwell.example"]


def test_the_document_of_meet_as_plain_text() -> None:
    found = of(
        "Weekly (2026-03-02 at 10:00 GMT+1) - Transcript\nAttendees\nAnn Berg, Tom Hadley, Kim Lee\nTranscript\n"
        "00:00:00\n \n"
        "Ann Berg: Hello.\nand welcome.\nTom Hadley: Hi.\n",
        "Weekly (2026-03-02 at 10:00 GMT+1) - Transcript",
    )
    assert said(found) == [("Ann Berg", 0, "Hello. and welcome."), ("Tom Hadley", 0, "Hi.")]
    assert [person.name for person in found.people] == ["Ann Berg", "Tom Hadley", "Kim Lee"]
    assert (found.title, found.held_on) == ("Weekly", date(2026, 3, 2))


def test_captions_that_part_a_sentence_are_one_line() -> None:
    found = of(
        "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\nAnn: I'll send the\n\n"
        "00:00:03.000 --> 00:00:05.000\noffer by Friday.\n\n"
        "00:00:05.000 --> 00:00:06.000\nAnd the plan.\n\n00:00:06.000 --> 00:00:07.000\nTom: Fine."
    )
    assert said(found) == [
        ("Ann", 1, "I'll send the offer by Friday."),
        ("Ann", 5, "And the plan."),
        ("Tom", 6, "Fine."),
    ]
    assert found.heard


def test_a_word_file_of_teams() -> None:
    from blocks.documents import Reader

    rows = ("Ann Berg   0:03", "Hello Tom.", "Tom   0:05", "Hello.")
    body = "".join(f'<w:p><w:r><w:t xml:space="preserve">{row}</w:t></w:r></w:p>' for row in rows)
    with Reader() as reader:
        found = read(word(body), "call.docx", reader=reader)
    assert [(who, words) for who, _, words in said(found)] == [("Ann Berg", "Hello Tom."), ("Tom", "Hello.")]


def test_what_is_heard_of_a_recording() -> None:
    @dataclass
    class Segment:
        start: float
        end: float
        text: str

    heard = [Segment(0.4, 2.0, " I'll send"), Segment(2.0, 4.0, "the offer."), Segment(9.0, 10.0, "Thanks.")]
    found = from_segments(heard, "Call with Ann 2026-03-02.m4a")
    assert said(found) == [("", 0, "I'll send the offer."), ("", 9, "Thanks.")]
    assert (found.title, found.held_on, found.heard) == ("Call with Ann", date(2026, 3, 2), True)
    with pytest.raises(Unreadable, match="nobody says anything"):
        from_segments([], "silence.wav")


@pytest.mark.parametrize(
    "label", ["Action item", "Decision", "Beschluss", "Note", "Agenda", "Date", "https", "the following", "Next steps"]
)
def test_what_stands_before_a_colon_is_not_always_somebody(label: str) -> None:
    found = of(f"Ann: Hello.\n{label}: something\nTom: Hi.")
    assert [line.speaker for line in found.lines if line.speaker] == ["Ann", "Tom"]


def test_a_note_between_the_lines_is_nobodys_speech() -> None:
    found = of("Ann: Hello.\nAction item: Tom to send the offer.\nTom: Okay.")
    assert said(found)[1] == ("", None, "Action item: Tom to send the offer.")


def test_a_long_speech_is_parted_between_sentences() -> None:
    found = of("Ann: " + "This is a sentence of some length. " * 60)
    assert len(found.lines) > 3
    assert all(len(line.text) <= 600 and line.text.endswith(".") for line in found.lines)
    endless = of("Ann: " + "word " * 1000 + "x" * 3000)
    assert all(len(line.text) <= 600 for line in endless.lines)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b" \n\n ", "it is empty"),
        (b"WEBVTT\n\n", "no captions"),
        (b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n\n", "nobody says anything"),
        (b"WEBVTT\n\n00:00:01.000 -> 00:00:02.000\nhello", "no captions"),
        (b"Just a letter without any speaker.\nIt goes on.", "names no speaker"),
        (b"Ann: \nTom: ...\n", "nobody says anything"),
        (b"PK\x03\x04 broken", "it is no text"),
        (b"\x00\x01\x02 binary", "it is no text"),
        (b"\xff\xfeA", "it is no text"),
        (b"x" * (MOST_BYTES + 1), "larger than"),
        (b"Ann: " + b"a b. " * (MOST_TEXT // 4), "longer than"),
        (b"Ann: yes.\nTom: no.\n" * 10_001, "longer than"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_none_is_named(content: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(content, "x.vtt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_usual_encoding(encoding: str) -> None:
    assert said(read("Jürgen Möller: Grüß Gott.".encode(encoding), "a.txt")) == [("Jürgen Möller", None, "Grüß Gott.")]


@pytest.mark.parametrize(
    ("name", "title", "day"),
    [
        ("GMT20260302-100512_Recording.transcript.vtt", "Recording", date(2026, 3, 2)),
        ("Team/Monday round 2026-03-02.txt", "Monday round", date(2026, 3, 2)),
        ("Jour fixe 02.03.2026.txt", "Jour fixe 02.03.2026", date(2026, 3, 2)),
        ("Call.vtt", "Call", None),
        ("Weekly (2026/03/02 10:00 GMT+1) - Recording.mp4", "Weekly", date(2026, 3, 2)),
        ("2026-03-02 10.05.12 Weekly with Ann/audio1234567.m4a", "Weekly with Ann", date(2026, 3, 2)),
        ("From 2026-03-02 to 2026-03-05.txt", "From to", None),
        ("20269999.txt", "20269999", None),
    ],
)
def test_title_and_day_are_the_names(name: str, title: str, day: date | None) -> None:
    found = of("Ann: Hello.", name)
    assert (found.title, found.held_on) == (title, day)


def test_the_same_talk_in_another_file_has_the_same_fingerprint() -> None:
    one, other = of("[00:01] Ann: Hello, Tom!", "a.txt"), of("Ann: hello tom", "b.txt")
    assert one.fingerprint == other.fingerprint != of("Tom: Hello, Ann!").fingerprint


def test_shown_lines_are_read_back() -> None:
    lines = [
        Line(number=1, speaker="Ann Berg", second=3723, text="I'll [2] send: it."),
        Line(number=2, speaker="", second=None, text="Action: none"),
    ]
    assert shown(lines).splitlines()[0] == "[1] 1:02:03 Ann Berg: I'll [2] send: it."
    assert list(lines_of(shown(lines))) == lines


def test_nobody_can_make_a_line_by_speaking() -> None:
    found = of("Ann: Hello.\n[99] Tom: I'll pay for everything.\nTom: Hi.")
    assert [line.number for line in lines_of(shown(found.lines))] == list(range(1, len(found.lines) + 1))


@given(st.text(max_size=500))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read(text.encode("utf-8", "replace"), "x.txt")
    except Unreadable:
        return
    assert list(lines_of(shown(found.lines))) == list(found.lines)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "Ann" + " a" * 200_000 + ":",
        "<v " * 100_000,
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n" + "<v a" * 100_000,
        "WEBVTT\n\n" + "00:00:01.000 --> 00:00:02.000\nA: x\n\n" * 5_000,
        "Attendees: " + "a, " * 100_000 + "\nAnn: hi.",
        "Ann: hi.\n" + "(" * 100_000,
        "\n" * 400_000 + "Ann: hi.",
        "- [a](" * 60_000,
    ],
    ids=range(9),
)
def test_a_hostile_text_takes_no_long_time(text: str) -> None:
    began = time.perf_counter()
    with suppress(Unreadable):
        read(text.encode(), "x.txt")
    assert time.perf_counter() - began < 5
