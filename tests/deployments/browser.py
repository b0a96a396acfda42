"""Prefect's approval form in a real browser: what the tests press and type."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, TimeoutError

from blocks.ledger import Action
from tests.deployments.machinery import Machine

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def open_form(page: Page, machine: Machine, action: Action) -> Locator:
    """The form behind the link that `signoff approvals list` prints."""
    page.goto(machine.signoff("approvals", "show", str(action.id), "--json").json["url"])
    page.get_by_role("button", name="Resume").click()
    form = page.get_by_role("dialog")
    form.get_by_text("Decision: type approve or reject").wait_for()
    return form


def choose(form: Locator, decision: str) -> None:
    """Type the decision and the name, the form's first two fields."""
    form.locator("textarea").nth(0).fill(decision)
    form.locator("textarea").nth(1).fill("Ana Browser")


def submit(form: Locator) -> None:
    """Press Submit until the form is gone: while a busy page checks the fields, it can miss a press."""
    for _ in range(3):
        form.get_by_role("button", name="Submit").click()
        with suppress(TimeoutError):
            form.wait_for(state="hidden", timeout=15_000)
            return
    pytest.fail(f"the form stays: {form.inner_text()}")


def box(form: Locator, name: str) -> Locator:
    """The box of a field, by its name; the page gives a label another `for` each time that it is drawn."""
    names = [label.removesuffix(" (Optional)") for label in form.locator("label").all_inner_texts()]
    return form.locator("textarea").nth(names.index(name))
