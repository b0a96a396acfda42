"""What each block type declares for `signoff connect`: a new type is judged here with no new test."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.connecting import how, variables
from blocks.connections import BLOCKS, block_class
from blocks.stripe import Stripe

block_slug = pytest.mark.parametrize("slug", sorted(BLOCKS))


@block_slug
def test_says_what_the_account_must_allow_and_where_the_credential_is_made(slug: str) -> None:
    declared = how(block_class(slug))
    for text in (declared.permissions, declared.found):
        assert text
        assert not text.endswith("."), "it is put into a sentence"


@block_slug
def test_names_only_fields_that_there_are(slug: str) -> None:
    kind, declared = block_class(slug), how(block_class(slug))
    assert {*declared.environment, *declared.asked} <= set(kind.model_fields)
    for names in declared.environment.values():
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in names)


@block_slug
def test_scopes_are_for_a_refresh_token(slug: str) -> None:
    kind = block_class(slug)
    fields = {"client_id", "client_secret", "refresh_token", "token_address", "timeout_seconds"}
    assert not how(kind).scopes or fields <= set(kind.model_fields)


@block_slug
def test_a_variable_of_one_account_comes_before_that_of_the_type_and_that_before_the_usual_ones(slug: str) -> None:
    kind = block_class(slug)
    name = next(iter(kind.model_fields))
    type_ = slug.upper().replace("-", "_")
    found = variables(kind, f"{slug}/my-own", name)
    assert found[:2] == (f"SIGNOFF_{type_}_MY_OWN_{name.upper()}", f"SIGNOFF_{type_}_{name.upper()}")
    assert found[2:] == how(kind).environment.get(name, ())


@pytest.mark.parametrize(
    ("key", "said"),
    [("sk_live_x", "an unrestricted live key"), ("rk_live_x", ""), ("sk_test_x", ""), ("rk_test_x", "")],
)
def test_an_unrestricted_live_key_of_stripe_is_warned_of(key: str, said: str) -> None:
    caution: Any = how(Stripe).caution
    told = caution(Stripe(api_key=SecretStr(key)))
    assert told.startswith(said)
    assert bool(told) is bool(said)
    assert key not in told
