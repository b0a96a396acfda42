"""The receiver: vendors tell us by themselves what has happened, and it starts the workflow that is interested.

A request is stored before it is answered (`app`, `postbox`); runs are made of what is stored (`dispatch`), by whichever
receiver comes to it. So nothing is lost that a vendor was told we have, whatever is killed, and nothing is done twice.
"""
