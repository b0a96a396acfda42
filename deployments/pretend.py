"""The pretend company's accounts, saved as blocks: the same blocks as for real accounts, with another address."""

from prefect.variables import Variable
from pydantic import SecretStr

from blocks.connections import save
from deployments.cards import cards
from sandbox import credentials
from sandbox.notion import source_id
from tasks.run import stage_variable


def connect(url: str, mailbox: str) -> None:
    """Save the blocks that the cards name, pointing at the sandbox at `url`.

    No Claude block is saved: the demo runs on the embedded model, with no key. Nothing real can be touched here, so
    every workflow runs at its card's own stage.
    """
    from blocks.drive import Drive
    from blocks.gmail import Gmail
    from blocks.hubspot import HubSpot
    from blocks.notion import Notion
    from blocks.slack import Slack
    from blocks.stripe import Stripe

    for card in cards():
        Variable.set(stage_variable(card.workflow), card.stage.value, overwrite=True)
    save(
        "gmail/inbox",
        Gmail(
            mailbox=mailbox,
            client_id=credentials.GOOGLE_CLIENT_ID,
            client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            address=f"{url}/google/",
            token_address=f"{url}/google/token",
        ),
    )
    save(
        "hubspot/crm",
        HubSpot(access_token=SecretStr(credentials.HUBSPOT_TOKEN), address=f"{url}/hubspot"),
    )
    save(
        "slack/team",
        Slack(bot_token=SecretStr(credentials.SLACK_BOT_TOKEN), channel="sales", address=f"{url}/slack"),
    )
    save(
        "stripe/billing",
        Stripe(api_key=SecretStr(credentials.STRIPE_KEY), address=f"{url}/stripe"),
    )
    for name, database in (("meetings", "Meeting notes"), ("documents", "Documents")):
        token, source = SecretStr(credentials.NOTION_TOKEN), source_id(database)
        save(f"notion/{name}", Notion(token=token, data_source=source, address=f"{url}/notion"))
    save(
        "drive/company",
        Drive(
            client_id=credentials.GOOGLE_CLIENT_ID,
            client_secret=SecretStr(credentials.GOOGLE_CLIENT_SECRET),
            refresh_token=SecretStr(credentials.GOOGLE_REFRESH_TOKEN),
            address=f"{url}/google/",
            token_address=f"{url}/google/token",
        ),
    )
