"""Real mail of other projects' test suites: nothing raises, and answers are told from what they answer.

The files are not part of this repository; tests that need them are skipped where they are absent.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.mail import Email, parse

DATA = Path(os.environ.get("SIGNOFF_DATA", Path(__file__).parents[3] / "shared" / "data")) / "mail_fixtures"
TALON = DATA / "talon"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no mail fixtures at {DATA}: set SIGNOFF_DATA")

ANSWERS_IN_HTML = {"OLK_SRC_BODY_SECTION.html": "Reply", "reply-separated-by-hr.html": "Hi there Bob"}


def read(raw: bytes) -> Email:
    return parse(raw, message_id="m", thread_id="t", received_at=datetime(2026, 3, 2, tzinfo=UTC))


def wrapped(body: bytes, kind: str, sender: str = "a@example.com") -> Email:
    head = f"From: {sender}\nSubject: Re: Test\nContent-Type: text/{kind}; charset=utf-8\n\n"
    return read(head.encode() + body)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


@pytest.mark.parametrize("path", files(DATA, "*.eml"), ids=lambda path: path.stem)
def test_every_real_mail_is_read(path: Path) -> None:
    email = read(path.read_bytes())
    assert email.text or email.subject or email.sender or email.attachments


@pytest.mark.parametrize("path", files(TALON / "standard_replies", "*.eml"), ids=lambda path: path.stem)
def test_the_answer_of_each_mail_program_is_found(path: Path) -> None:
    assert squeezed(read(path.read_bytes()).text) == "Hello"


@pytest.mark.parametrize(
    "path", [*files(TALON / "html_replies", "*.html"), *sorted(TALON.glob("*.html"))], ids=lambda path: path.stem
)
def test_the_answer_in_each_program_s_html_is_found(path: Path) -> None:
    email = wrapped(path.read_bytes(), "html")
    expected = ANSWERS_IN_HTML.get(path.name, "Hi. I am fine. Thanks, Alex")
    assert squeezed(f"{email.text} {email.signature}") == expected
    assert email.quoted


def test_most_signatures_are_found_and_no_letter_is_taken_for_one() -> None:
    exact = 0
    bodies = files(TALON / "signature" / "emails" / "stripped", "*_body")
    for path in bodies:
        body, signature, sender = (
            path.with_name(path.name.replace("_body", f"_{part}")) for part in ("body", "signature", "sender")
        )
        wanted = signature.read_text().replace("#sig#", "") if signature.exists() else ""
        name = sender.read_text().strip() if sender.exists() else "a@example.com"
        email = wrapped(
            body.read_text().replace("#sig#", "").encode(), "plain", name if "@" in name else f"{name} <a@example.com>"
        )
        exact += squeezed(email.signature) == squeezed(wanted)
        assert squeezed(email.signature) in squeezed(wanted)
    assert exact >= 4, f"{exact} of {len(bodies)}"


@pytest.mark.parametrize("path", files(DATA / "ruby_mail" / "emails" / "multipart_report_emails", "*.eml"), ids=str)
def test_real_delivery_reports_are_bounces(path: Path) -> None:
    assert read(path.read_bytes()).machine == "bounce"
