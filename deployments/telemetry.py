"""What Prefect tells its makers: nothing."""

OFF = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
"""The environment in which it asks for nothing and sends nothing. It is read when Prefect is imported."""
