"""The embedded model: answers a prompt on this machine, with no key, from the prompt's own examples.

It cannot write. It fills an answer type by the marks of `prompts.fields`: labels by a classifier trained on
the `example` cases, a summary by picking a sentence, a reply from the folder's templates, and a calibrated
probability. What it is not sure enough of to keep the prompt's promised `precision` it leaves to a person.

Importing it loads neither numpy nor scikit-learn: only `classifier`, `calibration` and `training` need them.
"""

from blocks.embedded.abstention import Abstention
from blocks.embedded.model import MODEL_ID, EmbeddedModel

__all__ = ["MODEL_ID", "Abstention", "EmbeddedModel"]
