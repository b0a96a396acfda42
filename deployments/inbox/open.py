"""`signoff inbox`: a one-time link to the page on this machine, opened in the browser."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Sequence

from deployments import views
from deployments.cards import cards
from deployments.errors import CommandError
from deployments.inbox.service import FOLDER
from deployments.inbox.sessions import CODE_SECONDS, Doors
from deployments.machine import answers
from deployments.running import HOME
from deployments.stack import RECEIVER_PORT, RECEIVER_URL
from tasks import assign
from tasks.card import Card

MINUTES = CODE_SECONDS // 60
"""How long a link lets somebody in."""


def open_inbox(person: str | None, *, browser: bool) -> int:
    """Print a link that lets this person in once, and open it.

    Raises:
        CommandError: no receiver is up, or it is not said who this is.
    """
    url = os.environ.get(RECEIVER_URL) or f"http://127.0.0.1:{RECEIVER_PORT}"
    if not answers(f"{url}/health"):
        raise CommandError(f"nothing answers at {url}: start it with `signoff up` or `signoff receive`")
    who = _who(person, cards())
    link = link_for(who, url)
    views.console.print(f"For {who}, once, within {MINUTES} minutes:\n{link}", markup=False, soft_wrap=True)
    if browser:
        webbrowser.open(link)
    return 0


def link_for(who: str, url: str) -> str:
    """A link to the inbox of the receiver at `url` that lets `who` in, once, within `MINUTES`."""
    return f"{url}/inbox/login#{Doors(HOME / FOLDER / 'codes').open(who)}"


def _who(person: str | None, every: Sequence[Card]) -> str:
    if person is not None:
        found = assign.who_may(person, every)
        if found is None:
            known = ", ".join(assign.people(every))
            raise CommandError(f"{person} may not decide anywhere: the cards name {known} (see owner and allowed)")
        return found
    owners = sorted({card.owner for card in every})
    if len(owners) != 1:
        raise CommandError(f"say who you are: --as with an address that a card knows, such as {', '.join(owners)}")
    return owners[0]
