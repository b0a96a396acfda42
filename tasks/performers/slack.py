"""Messages in Slack, each posted once."""

import html

from blocks.slack import Slack
from tasks.actions import PostMessage
from tasks.performers.base import Attempt, Done


def post_message(slack: Slack, action: PostMessage, attempt: Attempt) -> Done:
    """With the marker in the message's metadata. Escaped: a stranger's `<!channel>` must not ring everybody's phone."""
    return Done("slack", slack.post(html.escape(action.text, quote=False), key=attempt.marker))


def find_message(slack: Slack, action: PostMessage, attempt: Attempt) -> Done | None:  # noqa: ARG001
    """The channel's message whose metadata carries the marker."""
    found = slack.find(attempt.marker, since=attempt.since)
    return Done("slack", found) if found else None
