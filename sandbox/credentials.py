"""The only credentials the sandbox accepts. They open nothing else, so they may stand in plain sight."""

GOOGLE_CLIENT_ID = "sandbox-client-id.apps.example"
GOOGLE_CLIENT_SECRET = "sandbox-google-secret"
GOOGLE_REFRESH_TOKEN = "sandbox-google-refresh"
HUBSPOT_TOKEN = "sandbox-hubspot-token"
SLACK_BOT_TOKEN = "sandbox-slack-bot-token"
ANTHROPIC_API_KEY = "sandbox-anthropic-key"
