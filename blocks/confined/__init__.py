"""Files worked on in a process of its own, which may hang, crash or run out of memory without any harm done.

What is done with a file is the trade of whoever needs it: `blocks.documents` reads it, `blocks.speech` hears it. The
rest is here: `parent.Parent` owns the process and replaces it, `process.Process` is the pipes to it and tells why it
died, `child.serve` runs inside, and `wire` is how both sides talk.
"""
