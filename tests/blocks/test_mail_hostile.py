"""Whatever bytes arrive, reading them ends, soon, with an Email or with MalformedMail."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from blocks.mail import Email, MalformedMail, history, parse
from blocks.mail.compose import compose_reply

RECEIVED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MEGABYTE = 1_000_000


def read(raw: bytes) -> Email | None:
    try:
        return parse(raw, message_id="m", thread_id="t", received_at=RECEIVED)
    except MalformedMail:
        return None


LETTER = """\
From: =?utf-8?Q?J=C3=B6?= <jo@a.example>
To: Us <us@us.example>, b@c.example
Subject: =?utf-8?B?R3LDvMOfZQ==?=
Date: Mon, 2 Mar 2026 10:00:00 +0100
Message-ID: <1@a.example>
References: <0@us.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="out"

--out
Content-Type: multipart/alternative; boundary="in"

--in
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe=
!

On Mon, 2 Mar 2026, Us wrote:
> Hi
--in
Content-Type: text/html; charset=utf-8

<p style='color:#fff'>x</p><div class=gmail_quote><blockquote type=cite>Hi</blockquote></div>
--in--
--out
Content-Type: message/rfc822

From: c@d.example
Subject: inner

body
--out
Content-Type: application/pdf; name*=utf-8''a%20b.pdf
Content-Disposition: attachment; filename*0=a; filename*1=b
Content-Transfer-Encoding: base64

QUJD
--out--
"""
REPORT = """\
Return-Path: <>
From: mailer-daemon@x.example
Subject: Undeliverable
Auto-Submitted: auto-replied
Precedence: bulk
List-Post: NO
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

Failed
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; x

Action: failed
--b--
"""
ODD = """\
From: a@b.example
Content-Type: text/plain; charset=utf-16
Content-Transfer-Encoding: x-uuencode

begin 666 a
#0V%T
`
end
"""
FORWARD = """\
From: a@b.example
Subject: Fwd: x

see

-----Original Message-----
From: c
Sent: d
To: e
Subject: f

g
--
A
"""
REALISTIC = [LETTER.replace("\n", "\r\n").encode(), REPORT.encode(), ODD.encode(), FORWARD.encode()]
TOKENS = [
    b"=?",
    b"?=",
    b"\0",
    b"\xff\xfe",
    b"boundary=",
    b'"',
    b";",
    b"\n\n",
    b"--out",
    b"charset=",
    b"<",
    b">",
    b"base64",
    b"%",
    b"*0*=",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real mail with pieces cut out, doubled, swapped and overwritten."""
    raw = draw(st.sampled_from(REALISTIC))
    for _ in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 60)))
        new = draw(st.one_of(st.binary(max_size=12), st.sampled_from(TOKENS), st.just(raw[start:end] * 2)))
        raw = raw[:start] + new + raw[end:]
    return raw


def assert_sound(email: Email | None) -> None:
    if email is None:
        return
    shown = email.text + email.quoted + email.signature + email.subject + email.sender_name
    assert not re.search("[\0-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ue001-\ue004\U000e0000-\U000e007f]", shown)
    assert email.sent_at.utcoffset() is not None
    assert not any(
        "\n" in value for value in (email.subject, email.sender, email.reply_to, *email.to, *email.references)
    )
    Email.model_validate_json(email.model_dump_json())


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert_sound(read(raw))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(raw=mutated())
def test_any_damage_to_a_real_mail_is_read_or_refused(raw: bytes) -> None:
    assert_sound(read(raw))


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["From", "To", "Subject", "Date", "Content-Type", "References", "Reply-To", "List-Post"]),
    value=st.text(max_size=80),
)
@example(name="Content-Type", value="text/plain; charset*0*=x'y'z; charset*=\"\"")
@example(name="Date", value="0 Jan 0000 00:00 +9999999999")
def test_any_header_value_is_read_or_refused(name: str, value: str) -> None:
    raw = f"From: a@b.example\n{name}: {value}\n\nbody".encode("utf-8", "replace")
    assert_sound(read(raw))


@settings(max_examples=200, deadline=None)
@given(raw=mutated())
def test_whatever_was_read_can_be_answered(raw: bytes) -> None:
    email = read(raw)
    if email and email.sender.isascii() and email.sender and email.rfc822_message_id:
        compose_reply(
            to=email.sender,
            subject=email.subject,
            body="Yes",
            in_reply_to=email.rfc822_message_id,
            references=email.references,
        )


def filled(piece: bytes, size: int = MEGABYTE) -> bytes:
    return piece * (size // len(piece))


PLAIN = b"From: a@b.example\nSubject: x\nContent-Type: text/plain; charset=utf-8\n\n"
HTML = b"From: a@b.example\nSubject: x\nContent-Type: text/html; charset=utf-8\n\n"
MIXED = b"From: a@b.example\nSubject: x\nContent-Type: multipart/mixed; boundary=a\n\n"
ALTERNATIVE = MIXED.replace(b"mixed", b"alternative")
HOSTILE = {
    "one endless attribution": PLAIN + b"On " + filled(b"a "),
    "attributions": PLAIN + filled(b"On 1 a:\n"),
    "broken attributions": PLAIN + filled(b"On 1 " + b"a " * 60 + b"\n" + b"b " * 60 + b":\n"),
    "quotes": PLAIN + filled(b">\n"),
    "one deep quote": PLAIN + filled(b">"),
    "header lines": PLAIN + filled(b"From: a\nTo: b\n"),
    "rules": PLAIN + filled(b"____________________________\n"),
    "empty lines": PLAIN + filled(b"\n"),
    "spaces": PLAIN + filled(b" "),
    "closings": PLAIN + filled(b"Thanks,\n"),
    "one-line stretches": PLAIN + filled(b"a\n>b\n"),
    "disclaimers": PLAIN + filled(b"this message " * 10 + b"\n"),
    "open tags": HTML + filled(b"<div>"),
    "unfinished tags": HTML + filled(b"<a "),
    "unfinished comments": HTML + filled(b"<!--"),
    "misnested tags": HTML + filled(b"<b><i>"),
    "nested quotes": HTML + filled(b"<blockquote type=cite>"),
    "many quotes": HTML + filled(b"<blockquote type=cite>a</blockquote>"),
    "bare quotes": HTML + filled(b"1:<blockquote>a</blockquote>"),
    "breaks before quotes": HTML + b"1:" + filled(b"<br>", 500_000) + filled(b"<blockquote>a</blockquote>", 500_000),
    "nested tables": HTML + filled(b"<table><tr><td>"),
    "styles": HTML + filled(b"<p style='" + b"width:0;" * 20 + b"'>a</p>"),
    "one long style": HTML + b'<p style="' + filled(b"a:b;") + b'">x',
    "style sheet": HTML + b"<style>" + filled(b".a{display:none}") + b"</style>hi",
    "braces": HTML + b"<style>" + filled(b"{") + b"</style>hi",
    "parameters": b'From: a@b.example\nContent-Type: multipart/mixed; x="' + filled(b";") + b"\n\nhi",
    "recipients": b"From: a@b.example\nTo: " + filled(b"a@b.example, ") + b"\n\nhi",
    "comments": b"From: " + filled(b"(a") + b"\n\nhi",
    "brackets": b"From: " + filled(b"<") + b"\n\nhi",
    "encoded words": b"From: a@b.example\nSubject: " + filled(b"=?x?q?") + b"\n\nhi",
    "headers": filled(b"From: b@cc.example\n") + b"\nhi",
    "parts": MIXED + filled(b"--a\n\nx\n"),
    "nested parts": b"From: a@b.example\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (i, i) for i in range(15_000)),
    "lines under nested parts": b"From: a@b.example\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (i, i) for i in range(300))
    + filled(b"\n"),
    "nested mails": b"From: a@b.example\n" + filled(b"Content-Type: message/rfc822\n\n"),
    "long file names": MIXED + (b'--a\nContent-Type: a/b; name*0*="' + b";" * 1800 + b"\n\nx\n") * 500,
    "different versions": ALTERNATIVE
    + b"--a\n\n"
    + b"[" * 500_000
    + b"\n--a\nContent-Type: text/html\n\n"
    + b"@" * 500_000,
    "noise": b"From: a@b.example\n\n" + b"\x81\x8d" * (MEGABYTE // 2),
    "punycode": b"From: a@b.example\nContent-Type: text/plain; charset=punycode\n\n" + filled(b"a"),
    "broken base64": b"From: a@b.example\nContent-Transfer-Encoding: base64\n\n" + filled(b"@A"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.slow
def test_a_megabyte_made_to_be_slow_is_read(raw: bytes) -> None:
    email = read(raw)
    assert email is None or len(email.text) + len(email.quoted) <= 200_000


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    original = history._wrote

    def wrote(text: str) -> bool:
        texts.append(text)
        return original(text)

    monkeypatch.setattr(history, "_wrote", wrote)
    return texts


def test_slow_expressions_are_asked_a_limited_number_of_times_about_short_texts(asked: list[str]) -> None:
    read(PLAIN + filled(b"On 1 " + b"a " * 60 + b":\n"))
    assert 0 < len(asked) <= 3 * history.MAX_ATTRIBUTIONS
    assert max(map(len, asked)) <= history.MAX_ATTRIBUTION
