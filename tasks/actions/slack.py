"""What can be done in the team's chat."""

from tasks.actions.base import Action, Impact


class PostMessage(Action):
    """Post to the team's own Slack channel."""

    kind = "slack.post_message"
    noun = "Slack"
    impact = Impact.LOW

    text: str

    @property
    def title(self) -> str:
        return "Post to Slack"

    def preview(self) -> dict[str, str]:
        return {"Message": self.text}

    def targets(self) -> tuple[str, ...]:
        return ()  # the channel is the credential's, which no record and no model can choose

    def texts(self) -> tuple[str, ...]:
        return (self.text,)
