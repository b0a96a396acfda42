"""The inbox: the page on which people see what waits for them, with its evidence, and decide.

It is a router of the receiver's. What is decided goes through `tasks/approvals.py`, as in Prefect's own form, in Slack
and on the command line; whoever is slower is told so.
"""
