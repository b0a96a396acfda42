"""What the commands themselves refuse."""


class CommandError(Exception):
    """A command was asked for something that cannot be done; the message says what, and what to do instead."""


class StackError(Exception):
    """A process could not be started; the message names it, the log to read and the way out."""
