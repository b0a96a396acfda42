"""The model itself: trains once per prompt and set of examples, then embeds, classifies and fills in."""

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks import minilm
from blocks.embedded.abstention import Abstention, stated
from blocks.embedded.answer import answer
from blocks.embedded.inputs import classified, clean
from blocks.models import Reply, Request
from prompts import Case, Prompt

if TYPE_CHECKING:
    from blocks.embedded.calibration import Floats
    from blocks.embedded.classifier import Prediction
    from blocks.embedded.training import Learnt

MODEL_ID = "embedded-minilm-1"  # another number for another way of answering: what earned its autonomy is then gone
INPUT_LIMIT = 400_000  # characters; nothing is paid for, so this only bounds the work on a monstrous mail


class EmbeddedModel:
    """A `Model` that costs nothing and sends nothing anywhere. Safe to use from many threads.

    Args:
        folder: an embedding model of your own in place of MiniLM, as `minilm.embed`. Its checksum becomes
            part of `model_id`, so that it has to earn its own evidence.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._learnt: dict[str, Learnt] = {}
        # By the id of the prompt, which another one may have later: the cases tell whether it is still the same.
        self._checksums: dict[int, tuple[tuple[Case, ...], str]] = {}
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

    @property
    def sees(self) -> bool:
        """It does not: pictures are left out."""
        return False

    def identity(self, prompt: Prompt) -> str:
        """The model, and the examples that it has learnt from: another example makes another version."""
        # Asked for with every answer, and the examples grow with the decisions: half a millisecond for 250 of them.
        known = self._checksums.get(id(prompt))
        if known is None or known[0] is not prompt.cases:
            known = self._checksums[id(prompt)] = (prompt.cases, _checksum(_examples(prompt)))
        return f"{self.model_id}+{known[1][:12]}"

    def threshold(self, prompt: Prompt) -> float:
        """The probability under which it leaves the answer to a person: as `abstention` found it.

        1, and so every answer to a person, when no threshold keeps the prompt's promised `precision`; 0 when the
        answer type has no `Probability` field.

        Raises:
            PromptError: as `abstention`.
            VendorError: as `abstention`.
        """
        found = self.abstention(prompt)
        return found.threshold if found else 0.0

    def abstention(self, prompt: Prompt) -> Abstention | None:
        """When it leaves an answer to a person, and how many it answers how well; trains first if it has not yet.

        None when the answer type has no `Probability` field.

        Raises:
            PromptError: the examples cannot be learnt from; by name.
            VendorError: permanent; the weights are missing or changed.
        """
        return self._trained(prompt).abstention

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
        learnt = {key: self._trained(prompt) for key, prompt in prompts.items()}
        inputs = [_inputs(request) for request in requests]
        texts = [(id(one.prompt), classified(one.prompt, each)) for one, each in zip(requests, inputs, strict=True)]
        vectors = iter(minilm.embed([text for key, text in texts if learnt[key].classifiers], self._folder))
        answers = [
            _answer(
                request.prompt,
                each,
                learnt[key],
                text,
                next(vectors) if learnt[key].classifiers else None,
                self._folder,
            )
            for request, each, (key, text) in zip(requests, inputs, texts, strict=True)
        ]
        seconds = (time.perf_counter() - started) / max(1, len(requests))
        return [Reply(text=text, model=self.model_id, seconds=seconds, metadata=metadata) for text, metadata in answers]

    def _trained(self, prompt: Prompt) -> "Learnt":
        """What the examples taught. Trained once per prompt version and set of examples."""
        # Here, not above: it loads scikit-learn, which a run that asks Claude never needs.
        from blocks.embedded.training import train

        key = prompt.version(self.identity(prompt))
        if key not in self._learnt:
            with self._lock:
                if key not in self._learnt:
                    self._learnt[key] = train(prompt, _examples(prompt), self._folder)
        return self._learnt[key]


def _examples(prompt: Prompt) -> list[Case]:
    return [case for case in prompt.cases if case.split == "example"]


def _checksum(cases: Sequence[Case]) -> str:
    return hashlib.sha256("\n".join(case.model_dump_json() for case in cases).encode()).hexdigest()


def _inputs(request: Request) -> dict[str, Any]:
    """The variables, printable. Rendered once, so that what Claude would refuse is refused here too."""
    inputs = clean(request.variables)
    request.prompt.render(inputs)
    return inputs


def _answer(
    prompt: Prompt, inputs: Mapping[str, Any], learnt: "Learnt", text: str, vector: "Floats | None", folder: Path | None
) -> tuple[str, dict[str, Any]]:
    """The answer as JSON, and what to tell about it; `vector` is None where no field is classified."""
    from blocks.embedded.training import recognitions

    predictions = recognitions(prompt, inputs)
    if vector is not None:
        predictions |= {field: classifier.predict(text, vector) for field, classifier in learnt.classifiers.items()}
    written, told = answer(prompt, inputs, predictions, partial(minilm.embed, folder=folder))
    return written, told | _left_to_a_person(learnt, predictions)


def _left_to_a_person(learnt: "Learnt", predictions: Mapping[str, "Prediction"]) -> dict[str, Any]:
    if learnt.judged is None or learnt.abstention is None:
        return {"threshold": 0.0, "abstains": False}
    threshold = learnt.abstention.threshold
    return {"threshold": threshold, "abstains": stated(predictions[learnt.judged].probability) < threshold}
