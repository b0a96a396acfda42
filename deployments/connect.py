"""`signoff connect`: every account that the workflows need, one after the other, checked before it is saved."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from getpass import getpass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from blocks import connections
from blocks.connecting import how, variables
from blocks.vendor import VendorError
from deployments import connect_view, views
from deployments.cards import cards
from deployments.connect_view import say
from deployments.consent import ask_google
from deployments.errors import CommandError
from deployments.running import HOME
from tasks.credentials import CredentialState, Need, check_within, needs, not_connected

CONSENTED = "refresh_token"
"""The field that Google's consent fills in, where a block declares scopes."""


@dataclass(frozen=True)
class Value:
    """What a field is to hold, and where that came from."""

    text: str = field(repr=False)
    source: str
    """In words, such as `from STRIPE_API_KEY`."""


class LeftOut(Exception):
    """The person at the terminal leaves this account out."""


def connect(vendors: Sequence[str], *, again: bool, from_environment: bool, browser: bool) -> int:
    """Connect the accounts that the cards name, or some of them; 1 when one that is needed is not connected."""
    if not all(vendor.startswith("webhook-endpoint") for vendor in vendors) or not vendors:
        _refuse_the_demo()
    wanted = chosen(needs(cards()), vendors)
    saved = {need.credential: connections.load_if_present(need.credential) for need in wanted}
    walk = Walk(asks=not from_environment and sys.stdin.isatty() and sys.stdout.isatty(), again=again, browser=browser)
    for credential, block in saved.items():
        if block is not None:
            walk.remember(credential, block)
    if walk.asks:
        views.console.print(connect_view.HOW_TO_STOP)
    states = []
    for need in wanted:
        states.append(walk.connect(need, saved[need.credential]))
        views.console.print()
    connect_view.summary(states)
    return 1 if any(state.required and not state.ok for state in states) else 0


@dataclass
class Walk:
    """One walk through the accounts, and what was learnt on the way."""

    asks: bool
    """Whether a person is there to be asked."""
    again: bool
    browser: bool
    known: dict[str, Value] = field(default_factory=dict)
    """Values by the variable that they could have stood in: two blocks that list the same one want the same value."""

    def connect(self, need: Need, saved: Any | None) -> CredentialState:
        """Connect one account, or keep the one that is there."""
        kind = connections.block_class(need.credential.split("/")[0])
        connect_view.introduce(need, kind)
        before = _look(need, saved)
        if saved is not None and not self.again and (before.ok or not before.lasting):
            say("kept as it is")
            _tell_of_others(need, saved)
            return before
        try:
            block = self._block(need, kind, saved)
        except LeftOut:
            say("left out", "yellow")
            return before
        except (CommandError, VendorError) as error:
            say(f"not connected, nothing was saved: {error}", "red")
            return before
        return before if block is None else self._save(need, block, present=saved is not None)

    def remember(self, credential: str, block: Any) -> None:
        """Offer an account's values to those that want the same ones."""
        for name, names in how(type(block)).environment.items():
            # What a person consented to is one account's own, and an address may be.
            if name != CONSENTED and type(block).model_fields[name].is_required():
                for variable in names:
                    self.known.setdefault(variable, Value(_text(getattr(block, name)), f"as for {credential}"))

    def _save(self, need: Need, block: Any, *, present: bool) -> CredentialState:
        state = _checked(need, block)
        if not state.ok:
            say(f"not connected, nothing was saved: {state.reason}", "red")
            return replace(state, present=present)
        connections.save(need.credential, block)
        self.remember(need.credential, block)
        connect_view.say_connected(state)
        return state

    def _block(self, need: Need, kind: type[Any], saved: Any | None) -> Any | None:
        """The block as it would be saved; None where there is nothing (new) to try.

        Raises:
            LeftOut: the person wants to leave this account out.
            CommandError: a value cannot be right.
            VendorError: Google's consent was not given.
        """
        have = {} if saved is None else {name: getattr(saved, name) for name in kind.model_fields}
        values, lacking = dict(have), list[str]()
        for name, info in kind.model_fields.items():
            if value := self._value(need, kind, name, have):
                values[name] = _typed(info, value)
            elif info.is_required() and name not in values:
                lacking.append(name)
        if self.asks and how(kind).scopes and not self._given(need, kind, CONSENTED, have):
            lacking = [name for name in lacking if name != CONSENTED]
            values[CONSENTED] = ask_google(need.credential, kind, values, browser=self.browser)
        if lacking or not values:
            connect_view.tell_how_to_give(need, kind, lacking or list(how(kind).environment))
            return None
        if values == have and not self.again:
            say("nothing else was given than what is saved", "red")
            return None
        return _built(kind, values)

    def _value(self, need: Need, kind: type[Any], name: str, have: Mapping[str, Any]) -> Value | None:
        """A field's value from the environment, from the person, or from what is known; None leaves it as it is."""
        info: FieldInfo = kind.model_fields[name]
        if found := self._given(need, kind, name, have):
            say(f"{info.title}: {found.source}")
            return found
        if name == CONSENTED and how(kind).scopes:
            return None
        offered = self._offered(need, kind, name, have)
        # A secret that may be blank is asked for, too, where people have variables for it: without one nothing is sent.
        is_secret = info.annotation is SecretStr and name in how(kind).environment
        if self.asks and (info.is_required() or is_secret or name in how(kind).asked):
            return _asked(info, offered)
        if offered and info.is_required() and name not in have:
            say(f"{info.title}: {offered.source}")
            return offered
        return None

    def _given(self, need: Need, kind: type[Any], name: str, have: Mapping[str, Any]) -> Value | None:
        """What the environment holds, unless that is the saved secret and a person can be asked for a better one."""
        found = _from_environment(kind, need.credential, name)
        is_secret = kind.model_fields[name].annotation is SecretStr
        if found and self.asks and is_secret and found.text == _text(have.get(name)):
            return None
        return found

    def _offered(self, need: Need, kind: type[Any], name: str, have: Mapping[str, Any]) -> Value | None:
        if saved := _text(have.get(name)):
            return Value(saved, "as saved")
        for variable in variables(kind, need.credential, name):
            if variable in self.known:
                return self.known[variable]
        default = kind.model_fields[name].default
        return Value(default, "as usual") if default and isinstance(default, str) else None


def chosen(every: Sequence[Need], vendors: Sequence[str]) -> list[Need]:
    """The accounts that are meant by `gmail` or `notion/meetings`; all without any.

    Raises:
        CommandError: there is nothing of that name.
    """
    if not vendors:
        return list(every)
    found: dict[str, Need] = {}
    for vendor in vendors:
        meant = [need for need in every if vendor in (need.credential, need.credential.split("/")[0])]
        slug, _, name = vendor.partition("/")
        if not meant and name and slug in connections.BLOCKS:
            meant = [Need(vendor, (), owner="", required=False)]  # for a workflow that is still to be written
        if not meant:
            there = ", ".join(need.credential for need in every)
            raise CommandError(f"no workflow needs {vendor}; there are {there}")
        found |= {need.credential: need for need in meant}
    return list(found.values())


def _refuse_the_demo() -> None:
    """The demo's workflows run at their cards' own stage, because nothing real can be touched there.

    Raises:
        CommandError: the Prefect server that this command would talk to is the demo's.
    """
    if os.environ.get("PREFECT_HOME") == str(HOME / "demo" / "prefect"):
        raise CommandError(
            "the demo is running, whose workflows act by themselves: stop it with Ctrl-C, start `signoff up`, "
            "and connect your accounts there"
        )


def _look(need: Need, saved: Any | None) -> CredentialState:
    """How the account stands before anything is done about it."""
    if saved is None:
        return not_connected(need)
    state = _checked(need, saved)
    if state.ok:
        connect_view.say_connected(state)
    else:
        say(f"{'cannot be used' if state.lasting else 'could not be checked now'}: {state.reason}", "red")
    return state


def _checked(need: Need, block: Any) -> CredentialState:
    with views.console.status("Checking ..."):
        return check_within(need, block)


def _tell_of_others(need: Need, saved: Any) -> None:
    """A variable that holds something else than the block may be the newer one: only its owner knows."""
    for name in type(saved).model_fields:
        found = _from_environment(type(saved), need.credential, name)
        if found and found.text != _text(getattr(saved, name)):
            say(f"{found.source.removeprefix('from ')} holds another value: --again takes it", "yellow")


def _from_environment(kind: type[Any], credential: str, name: str) -> Value | None:
    for variable in variables(kind, credential, name):
        if text := os.environ.get(variable, "").strip():
            return Value(text, f"from {variable}")
    return None


def _asked(info: FieldInfo, offered: Value | None) -> Value:
    """What a person types; what is offered when that is nothing.

    Raises:
        LeftOut: nothing was typed, and nothing is offered.
    """
    secret = info.annotation is SecretStr
    say(str(info.description), "dim")
    shown = f" (Enter: {offered.source if secret else offered.text})" if offered else ""
    try:
        # Before getpass asks, it switches the echo off: what is pasted at once is not shown either.
        ask = getpass if secret else input
        typed = ask(f"  {views.printable(f'{info.title}{shown}')}: ").strip()
    except EOFError:  # Ctrl-D
        views.console.print()
        raise LeftOut from None
    if typed:
        return Value(typed, "typed")
    if offered is None:
        raise LeftOut
    return offered


def _typed(info: FieldInfo, value: Value) -> str | SecretStr:
    """What the block is given.

    Raises:
        CommandError: no key looks like this, and no library would send it.
    """
    if info.annotation is not SecretStr:
        return value.text
    if not value.text.isascii() or not value.text.isprintable() or " " in value.text:
        said = "what was typed" if value.source == "typed" else value.source.removeprefix("from ")
        raise CommandError(
            f"{info.title}: {said} holds a space, a line break or a letter outside ASCII, as no key does"
        )
    return SecretStr(value.text)


def _built(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """The block.

    Raises:
        CommandError: a value is of the wrong kind; it is not quoted.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise CommandError("; ".join(_problem(kind, each) for each in error.errors(include_input=False))) from None


def _problem(kind: type[Any], problem: ErrorDetails) -> str:
    said = problem["msg"].removeprefix("Value error, ")
    return f"{kind.model_fields[str(problem['loc'][0])].title}: {said}" if problem["loc"] else said


def _text(value: object) -> str:
    """A block's value as it would be typed; empty where nobody has given one."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)
