"""The accounts that workflows need: which, what for, whose, and whether each can be used now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx

from blocks import connections, google_consent
from blocks.connecting import how
from blocks.ledger import utcnow
from blocks.vendor import Failures, VendorError
from tasks.card import Card
from tasks.side_by_side import TookTooLong, side_by_side

LOOK_SECONDS = 20.0
"""How long one account may take to answer."""

WARN_DAYS = 2
"""So many days before a credential ends it is told of."""

GOOGLE_DATES = "%d %b %Y, %H:%M UTC"


@dataclass(frozen=True)
class Need:
    """An account, and what of ours cannot do without it."""

    credential: str
    uses: tuple[tuple[str, str], ...]
    """(workflow, what it does with it), one line a workflow."""
    owner: str
    """Whose cards name it; empty where none does."""
    required: bool
    """Whether a workflow stops without it. Without others it does less, and says so."""

    @property
    def workflows(self) -> tuple[str, ...]:
        """The workflows that use it."""
        return tuple(workflow for workflow, _ in self.uses)


@dataclass(frozen=True)
class CredentialState:
    """How one account stood when it was looked at."""

    credential: str
    workflows: tuple[str, ...]
    owner: str
    required: bool
    present: bool
    """Whether its block is saved."""
    ok: bool
    """Whether it can be used, or is one that nobody has connected and nothing needs."""
    as_whom: str
    """What the vendor calls us: `hello@example.com (1234 messages)`. Empty where it did not say."""
    reason: str
    """Why it cannot be used, or what is about to go wrong."""
    way_out: str
    """What a person can do about that."""
    lasting: bool
    """It stays so until a person does something; else another look may find it well."""
    expires_at: datetime | None
    """When it ends by itself (UTC), where the vendor says so."""
    checked_at: datetime

    @property
    def warning(self) -> str:
        """What a person should know although it can be used."""
        return self.reason if self.ok and self.present else ""


def needs(cards: Sequence[Card]) -> list[Need]:
    """The accounts that the cards name, and those that all workflows use; the required first, by type."""
    named = {credential for card in cards for credential in _uses(card)}
    found = [_need(credential, cards) for credential in sorted(named - {connections.ROWS})]
    order = list(connections.BLOCKS)
    found += [need for slug in order if (need := _standalone(slug)) and need.credential not in named]
    return sorted(found, key=lambda need: (not need.required, order.index(need.credential.split("/")[0])))


def check_all(cards: Sequence[Card], seconds: float = LOOK_SECONDS) -> list[CredentialState]:
    """Look at every account that the cards name, all at the same time.

    What is known about when a credential ends: Google's refresh tokens die after 7 days where the OAuth app is in
    Testing, after 6 months without use, and on a change of password (`invalid_grant`); so each look forces a refresh,
    which uses the token and finds a dead one. Google's reply names the end only where one was set; a token that is
    younger than 7 days is told of from its fifth day on, because nobody but its owner knows whether the app is in
    Testing. HubSpot's, Stripe's, Notion's and Anthropic's keys and Slack's bot tokens end when somebody revokes them:
    the look finds out, and nothing can foretell it.

    Args:
        cards: whose accounts.
        seconds: one that has not answered by then is told of as such.

    Raises:
        httpx.ConnectError: no Prefect server answers, which holds the credentials.
    """
    wanted = needs(cards)
    connections.import_blocks(need.credential for need in wanted)
    results = side_by_side([partial(look_at, need) for need in wanted], seconds)
    return [_state(need, result, seconds) for need, result in zip(wanted, results, strict=True)]


def look_at(need: Need) -> CredentialState:
    """How an account stands that may or may not have been connected."""
    block = connections.load_if_present(need.credential)
    return not_connected(need) if block is None else check(need, block)


def not_connected(need: Need) -> CredentialState:
    """How an account stands that nobody has connected."""
    return _told(need, present=False, ok=not need.required, reason="not connected", lasting=True)


def check(need: Need, block: Any) -> CredentialState:
    """Look at one account, by the cheapest calls that tell whether it can be used.

    Args:
        need: which.
        block: its block, which need not be saved yet.
    """
    declared = how(type(block))
    try:
        granted = _refreshed(need.credential, block) if declared.scopes else None
        as_whom = block.check()
        if declared.probe:
            declared.probe(block)
    except VendorError as error:
        return _told(need, ok=False, reason=str(error), lasting=error.permanent)
    ends_at = granted.ends_at if granted else None
    caution = declared.caution(block) if declared.caution else ""
    return _told(need, ok=True, as_whom=as_whom, reason=caution or _end(need, ends_at), expires_at=ends_at)


def check_within(need: Need, block: Any, seconds: float = LOOK_SECONDS) -> CredentialState:
    """`check`, which is told of as without an answer when it takes longer than `seconds`."""
    return _state(need, side_by_side([partial(check, need, block)], seconds)[0], seconds)


def connect_again(credential: str) -> str:
    """The command that connects an account."""
    return f"signoff connect {credential}"


def _uses(card: Card) -> dict[str, str]:
    """By credential, what a card's workflow does with it."""
    found: dict[str, list[str]] = {}
    for line in card.reads:
        found.setdefault(line.credential, []).append(f"reads {line.what}")
    for credential in dict.fromkeys(line.credential for line in card.writes):
        kinds = [line.kind.partition(".")[2].replace("_", " ") for line in card.writes if line.credential == credential]
        found.setdefault(credential, []).append(f"may {', '.join(kinds)}")
    found.setdefault(card.model, []).append("answers its prompt, instead of the built-in model")
    if card.agent:
        found.setdefault(card.agent.model, []).append("takes its agent's steps, instead of the built-in rules")
    if card.shadow_report:
        found.setdefault(card.shadow_report, []).append("is told what it would do in shadow")
    return {credential: "; ".join(lines) for credential, lines in found.items()}


def _need(credential: str, cards: Sequence[Card]) -> Need:
    using = [card for card in cards if credential in _uses(card)]
    return Need(
        credential=credential,
        uses=tuple((card.workflow, _uses(card)[credential]) for card in using),
        owner=", ".join(sorted({card.owner for card in using})),
        required=any(_requires(card, credential) for card in using),
    )


def _requires(card: Card, credential: str) -> bool:
    reads = {line.credential for line in card.reads}
    return credential in reads | {line.credential for line in card.writes if not line.optional}


def _standalone(slug: str) -> Need | None:
    """The account of a block that no card names, where its type has one."""
    standalone = how(connections.block_class(slug)).standalone
    if standalone is None:
        return None
    return Need(f"{slug}/{standalone.name}", (("every workflow", standalone.serves),), owner="", required=False)


def _refreshed(credential: str, block: Any) -> google_consent.Granted:
    """Force a refresh of a Google account, and compare what it may do with what its block needs.

    Raises:
        VendorError: permanent when the token is dead, or does not allow enough.
    """
    vendor, scopes = credential.split("/")[0], how(type(block)).scopes
    failures = Failures(vendor, (block.client_secret, block.refresh_token))
    granted = google_consent.refresh(google_consent.Client.of(block), block.refresh_token, scopes, failures)
    if lacking := google_consent.missing(scopes, granted.scopes):
        reason = f"the token does not allow {lacking}: connect the Google account again, and allow all that is asked"
        raise failures.error("refresh the access token", reason, permanent=True, status=403)
    return granted


def _end(need: Need, ends_at: datetime | None) -> str:
    """What is to be said of a credential's end, where it is near."""
    soon = utcnow() + timedelta(days=WARN_DAYS)
    if ends_at is not None:
        return f"it ends on {ends_at:{GOOGLE_DATES}}" if ends_at < soon else ""
    if not how(connections.block_class(need.credential.split("/")[0])).scopes:
        return ""
    saved_at = connections.saved_at(need.credential)
    if saved_at is None:
        return ""
    in_testing = saved_at + timedelta(days=google_consent.TESTING_DAYS)
    if not utcnow() < in_testing < soon:
        return ""
    return f"if the OAuth app is in Testing, it ends on {in_testing:{GOOGLE_DATES}}; put the app into production"


def _state(need: Need, result: CredentialState | Exception, seconds: float) -> CredentialState:
    if isinstance(result, CredentialState):
        return result
    if isinstance(result, TookTooLong):
        return _told(need, ok=False, reason=f"no answer within {seconds:g} s")
    if isinstance(result, (httpx.ConnectError, httpx.ConnectTimeout)):
        raise result  # Prefect's server: the blocks tell of their vendors by a VendorError
    # Only its kind: a value that no library takes, such as a key with a letter outside ASCII, is quoted in its text.
    reason = f"one of its values is not what it should be ({type(result).__name__})"
    return _told(need, ok=False, reason=reason, lasting=True)


def _told(
    need: Need,
    *,
    ok: bool,
    present: bool = True,
    as_whom: str = "",
    reason: str = "",
    lasting: bool = False,
    expires_at: datetime | None = None,
) -> CredentialState:
    wait = "look again later; it is the vendor's or the network's fault, and it may pass"
    return CredentialState(
        credential=need.credential,
        workflows=need.workflows,
        owner=need.owner,
        required=need.required,
        present=present,
        ok=ok,
        as_whom=as_whom,
        reason=reason,
        way_out="" if not reason else connect_again(need.credential) if ok or lasting else wait,
        lasting=lasting,
        expires_at=expires_at,
        checked_at=utcnow(),
    )
