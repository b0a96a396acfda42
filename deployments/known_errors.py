"""Errors that a user can do something about are told in one line; everything else keeps its traceback."""

import errno
import sys
from collections.abc import Callable
from typing import Any


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run a command; 1, with the message on stderr, when it ends in an error of ours, 130 after Ctrl-C."""
    try:
        return int(command() or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; Python would complain once more when it flushes at exit.
        sys.stdout = None
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.stdout = None  # what it still holds may be what does not fit
        from deployments.views import printable

        where = f" for {printable(str(error.filename))}" if error.filename else ""
        sys.stderr.write(f"signoff: there is no room left on the disk{where}\n")
        return 1
    except _server_away():
        from deployments.running import no_server

        return _say(no_server())
    except known() as error:
        return _say(str(error))
    except Exception as error:
        from deployments.their_errors import told

        if text := told(error):  # in a builder's flow or prompt: the line is what they need
            return _say(text)
        raise


def _say(text: str) -> int:
    from deployments.views import printable  # what it names may come from outside: a file's name, an e-mail's

    sys.stderr.write(f"signoff: {printable(text, lines=True)}\n")
    return 1


# Python asks for an except clause's classes only when something was raised: no command pays for these imports.


def _server_away() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.ConnectError, httpx.ConnectTimeout)


def known() -> tuple[type[Exception], ...]:
    """The errors whose message says it all."""
    from blocks.connections import MissingCredential
    from blocks.ledger import LedgerError
    from blocks.library import LibraryError
    from blocks.mail.saved import NoSavedMail
    from blocks.vendor import VendorError
    from deployments.errors import CommandError, StackError
    from prompts import CaseError, PromptError
    from tasks.approvals import ApprovalError
    from tasks.audit import AuditError
    from tasks.card import CardError
    from tasks.retention import RetentionError
    from tasks.retrieval_eval import QuestionError

    return (
        ApprovalError, AuditError, CardError, CaseError, CommandError, LedgerError, LibraryError, MissingCredential,
        NoSavedMail, PromptError, QuestionError, RetentionError, StackError, VendorError,
    )  # fmt: skip
