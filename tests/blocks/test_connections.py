"""Finding a credential's block, and saying how to make one that is missing."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from pydantic import SecretStr

from blocks import connections
from blocks.connections import BLOCKS, MissingCredential
from blocks.gmail import Gmail
from blocks.slack import Slack


@pytest.fixture
def slack(prefect_server: None) -> Iterator[Slack]:  # noqa: ARG001
    """A block that was saved as slack/spare."""
    connections.load.cache_clear()
    block = Slack(bot_token=SecretStr("secret-one"), channel="C1")
    connections.save("slack/spare", block)
    yield block
    connections.load.cache_clear()
    with suppress(ValueError):
        Slack.delete("spare")


@pytest.mark.usefixtures("slack")
def test_a_saved_block_comes_back_with_its_secret() -> None:
    found = connections.load("slack/spare")
    assert isinstance(found, Slack)
    assert found.bot_token.get_secret_value() == "secret-one"
    assert found.channel == "C1"


@pytest.mark.usefixtures("slack")
def test_a_block_is_read_once_a_process_so_that_connections_are_shared() -> None:
    assert connections.load("slack/spare") is connections.load("slack/spare")


def test_saving_again_replaces_the_block(slack: Slack) -> None:
    connections.save("slack/spare", slack.model_copy(update={"channel": "C2"}))
    found = connections.load_if_present("slack/spare")
    assert found is not None
    assert found.channel == "C2"


@pytest.mark.parametrize("slug", BLOCKS)
def test_every_type_is_the_block_of_its_slug(slug: str) -> None:
    assert connections.block_class(slug).get_block_type_slug() == slug


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("slug", BLOCKS)
def test_a_missing_credential_is_named_with_the_way_out(slug: str) -> None:
    assert connections.load_if_present(f"{slug}/nobody") is None
    with pytest.raises(MissingCredential) as caught:
        connections.load(f"{slug}/nobody")
    for part in (f"no credential {slug}/nobody", "under Blocks in the Prefect UI", f"type '{slug}'", "name 'nobody'"):
        assert part in str(caught.value)


@pytest.mark.usefixtures("prefect_server")
def test_a_credential_that_was_missing_is_found_once_it_is_saved(request: pytest.FixtureRequest) -> None:
    with pytest.raises(MissingCredential):
        connections.load("slack/spare")
    request.getfixturevalue("slack")
    assert connections.load("slack/spare").channel == "C1"


@pytest.mark.usefixtures("prefect_server")
def test_an_unknown_type_is_refused_with_those_that_exist() -> None:
    with pytest.raises(MissingCredential, match=r"there is no block type 'stripes'; there are gmail, hubspot"):
        connections.load("stripes/main")


def test_a_block_cannot_be_saved_under_another_type(slack: Slack) -> None:
    with pytest.raises(MissingCredential, match="gmail/spare is no name for a block of type slack"):
        connections.save("gmail/spare", slack)


@pytest.mark.usefixtures("accounts")
def test_the_pretend_accounts_are_what_the_card_names() -> None:
    assert isinstance(connections.load("gmail/inbox"), Gmail)
