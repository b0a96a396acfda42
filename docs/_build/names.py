"""The pages of the reference, in the order in which they are made."""

PAGES = ("index", "commands", "card", "actions", "blocks", "alerts", "prompts", "deployments", "settings", "tables")
