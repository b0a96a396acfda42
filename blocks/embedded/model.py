"""The model itself: trains once per prompt and set of examples, then embeds, classifies and fills in."""

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks import minilm
from blocks.embedded.answer import answer
from blocks.embedded.inputs import classified, clean
from blocks.models import Reply, Request
from prompts import Case, Prompt

if TYPE_CHECKING:
    from blocks.embedded.calibration import Floats
    from blocks.embedded.classifier import Classifier, Prediction

MODEL_ID = "embedded-minilm-1"
INPUT_LIMIT = 400_000  # characters; nothing is paid for, so this only bounds the work on a monstrous mail


class EmbeddedModel:
    """A `Model` that costs nothing and sends nothing anywhere. Safe to use from many threads.

    Args:
        folder: an embedding model of your own in place of MiniLM, as `minilm.embed`. Its checksum becomes
            part of `model_id`, so that it has to earn its own evidence.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._classifiers: dict[str, Mapping[str, Classifier]] = {}
        self._lock = threading.Lock()

    @property
    def model_id(self) -> str:
        """The name and version of this model.

        Raises:
            VendorError: the model in `folder` does not load.
        """
        if self._folder is None:
            return MODEL_ID
        return f"embedded-{minilm.encoder(self._folder).checksum[:8]}-1"

    def identity(self, prompt: Prompt) -> str:
        """The model, and the examples that it has learnt from: another example makes another version."""
        return f"{self.model_id}+{_checksum(_examples(prompt))[:12]}"

    def threshold(self, prompt: Prompt) -> float:  # noqa: ARG002
        """The probability under which it leaves the answer to a person."""
        return 0.0

    def worst_cost(self, request: Request) -> Decimal:  # noqa: ARG002
        """Nothing, in US dollars."""
        return Decimal(0)

    def input_limit(self) -> int:
        """Characters of rendered prompt, far more than is read: 8,000 to classify, of which 256 tokens embedded."""
        return INPUT_LIMIT

    def ask(self, request: Request) -> Reply:
        """Answer one request. Corrections are not read: the same input always gets the same answer.

        Raises:
            PromptError: a variable is missing, or a field cannot be filled in without writing; by name.
            VendorError: permanent; the weights are missing or changed.
        """
        return self.ask_many([request])[0]

    def ask_many(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer each as `ask` does, embedding them together; the seconds are shared out evenly.

        Raises:
            PromptError: as `ask`, for the first request that cannot be answered; none is answered then.
            VendorError: as `ask`.
        """
        started = time.perf_counter()
        prompts = {id(request.prompt): request.prompt for request in requests}
        classifiers = {key: self._trained(prompt) for key, prompt in prompts.items()}
        inputs = [_inputs(request) for request in requests]
        texts = [classified(request.prompt, each) for request, each in zip(requests, inputs, strict=True)]
        vectors = minilm.embed(texts, self._folder)
        answers = [
            answer(request.prompt, each, _predict(classifiers[id(request.prompt)], text, vector))
            for request, each, text, vector in zip(requests, inputs, texts, vectors, strict=True)
        ]
        seconds = (time.perf_counter() - started) / max(1, len(requests))
        return [Reply(text=text, model=self.model_id, seconds=seconds, metadata=metadata) for text, metadata in answers]

    def _trained(self, prompt: Prompt) -> Mapping[str, "Classifier"]:
        """The classifier of each `Label` field. Trained once per prompt version and set of examples."""
        # Here, not above: it loads scikit-learn, which a run that asks Claude never needs.
        from blocks.embedded.training import train

        key = prompt.version(self.identity(prompt))
        if key not in self._classifiers:
            with self._lock:
                if key not in self._classifiers:
                    self._classifiers[key] = train(prompt, _examples(prompt), self._folder)
        return self._classifiers[key]


def _examples(prompt: Prompt) -> list[Case]:
    return [case for case in prompt.cases if case.split == "example"]


def _checksum(cases: Sequence[Case]) -> str:
    return hashlib.sha256("\n".join(case.model_dump_json() for case in cases).encode()).hexdigest()


def _inputs(request: Request) -> dict[str, Any]:
    """The variables, printable. Rendered once, so that what Claude would refuse is refused here too."""
    inputs = clean(request.variables)
    request.prompt.render(inputs)
    return inputs


def _predict(classifiers: Mapping[str, "Classifier"], text: str, vector: "Floats") -> dict[str, "Prediction"]:
    return {field: classifier.predict(text, vector) for field, classifier in classifiers.items()}
