"""How much is read of one file. What is larger is refused with the reason: half a document answers half a question."""

MOST_BYTES = 100_000_000
MOST_TEXT = 20_000_000
"""Characters. The Bible has 4 million."""
MOST_HEADINGS = 20_000
"""The rest are read as text: each carries the headings above it, so a million of them would be gigabytes."""
MOST_PAGES = 5_000
MOST_OCR_PAGES = 50
"""Scanned pages of one file. At 8 seconds each this is seven minutes; the rest are named in the notes."""
MOST_LOOKED_AT = 100
"""Pages of a file whose words are wanted with their places, as of a bill. A longer one is not read at all."""
MOST_OCR_LOOKED_AT = 20
MOST_WORDS = 100_000
"""With their places; a page has about 500."""
MOST_LETTERS = 1_000_000
"""Of all words with their places; a page has about 3,000."""
OCR_SECONDS = 20.0
"""By how much a page that needs OCR puts off the end of a file's time: it takes 1 to 8 seconds on two free cores."""
