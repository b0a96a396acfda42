"""What can be done in the team's notes."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from tasks.actions.base import Action, Blank, Impact, Text

Title = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]

TITLE = "title"
PROPERTY = "property_"
BODY = "body"


class CreatePage(Action):
    """Add a page to a database in Notion."""

    kind = "notion.create_page"
    noun = "page"
    impact = Impact.LOW
    editable = "body"

    name: Title
    """The page's title."""
    properties: dict[str, Text] = Field(default_factory=dict)
    """By the property's name in Notion, as a person writes it: 2026-03-31, 1234.50, yes. Empty for none."""
    body: Text = ""
    """Markdown: headings, bullets, to-dos (`- [ ] ...`), numbers, rules and bold; every other line is a paragraph."""

    @property
    def title(self) -> str:
        return f"Notion page: {' '.join(self.name.split())}"

    def preview(self) -> dict[str, str]:
        return {"Page": self.name} | {name: text for name, text in self.properties.items() if text}

    def targets(self) -> tuple[str, ...]:
        return ()  # the database is the credential's, which no record and no model can choose

    def texts(self) -> tuple[str, ...]:
        return (self.name, *self.properties.values(), self.body)

    def blanks(self) -> tuple[Blank, ...]:
        """The title, a box for each property, and the body."""
        boxes = [Blank(TITLE, "Title", "The page's title in Notion.", self.name, required=True)]
        for number, (name, text) in enumerate(self.properties.items(), start=1):
            boxes.append(Blank(f"{PROPERTY}{number}", name, f"The page's *{name}*; empty for none.", text))
        said = (
            "Edit it here: what stands here is what is written. `# ` begins a heading, `- ` a point, `- [ ] ` a to-do."
        )
        return (*boxes, Blank(BODY, "Text", said, self.body))

    def filled(self, answers: Mapping[str, str]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if TITLE in answers:
            changes["name"] = answers[TITLE]
        if BODY in answers:
            changes["body"] = answers[BODY]
        numbered = enumerate(self.properties.items(), start=1)
        properties = {name: answers.get(f"{PROPERTY}{number}", text).strip() for number, (name, text) in numbered}
        if properties != self.properties:
            changes["properties"] = properties
        return changes
