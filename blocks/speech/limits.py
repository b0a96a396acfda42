"""How much is heard of one recording. What is larger is refused with the reason and the way out."""

MOST_BYTES = 250_000_000
"""Two hours of the plainest sound that speech needs (16 kHz, 16 bits, mono) are 230 MB; as mp3 or m4a, 60 to 120."""
MOST_SECONDS = 2 * 60 * 60
WINDOW = 60
"""Seconds that are heard at once, at most: at a pause before that, the next window begins."""
WINDOW_SECONDS = 60.0
"""By how much a window puts off the end of a file's time: it takes 3 to 8 seconds on two free cores."""
MOST_WINDOWS = 2 * MOST_SECONDS // WINDOW + 1
"""None but the last is shorter than half of one."""
