"""Pictures of text to lines of print: PP-OCRv6 through RapidOCR, with the models that its package holds.

Nothing is downloaded: the models are read here, and one that is missing or changed is an error.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.documents.lines import Line
from blocks.vendor import VendorError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DPI = 200
THREADS = 2
LARGEST_SIDE = 2_000
"""Pixels of the picture out of which words are read; A4 at 170 dpi."""
_SEARCHED_SIDE = 1_280
"""Pixels of the picture in which lines are looked for. With 2,000 no more of 7-point print is found, and it takes three
times the time and twice the memory."""
_BATCH = 2  # lines read at once: six, the default, need half as much memory again and are no faster
# Ours, not read from the package: a changed package must not be able to vouch for itself.
_MODELS = {
    "Det": ("PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"),
    "Rec": ("PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"),
    "Cls": ("ch_ppocr_mobile_v2.0_cls_mobile.onnx", "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"),
}
_LETTERS = 0.75  # of a line's height, as OCR sees it, is the size of its print

_engine: Any = None


def lines(picture: "NDArray[np.uint8]", dpi: float, page: int = 1) -> list[Line]:
    """The lines in a picture, BGR in the shape [height, width, 3], their places in points. In no order.

    Raises:
        VendorError: permanent; a model is missing, or is not the one we pinned.
    """
    found = _loaded()(picture)
    if not found.txts:
        return []
    scale = 72 / dpi
    read = []
    for box, text, sure in zip(found.boxes, found.txts, found.scores, strict=True):
        xs, ys = [float(x) * scale for x, _ in box], [float(y) * scale for _, y in box]
        height = (abs(ys[3] - ys[0]) + abs(ys[2] - ys[1])) / 2
        size = max(height * _LETTERS, 1.0)
        read.append(Line(str(text), min(xs), min(ys), max(xs), max(ys), size, page=page, sure=float(sure)))
    return read


def _loaded() -> Any:
    global _engine  # the models take half a second to load, and a process needs them once
    if _engine is None:
        _engine = _load()
    return _engine


def _load() -> Any:
    """RapidOCR with sessions of our own. It would make them itself, with threads that spin while they wait: pages then
    take twice the time of both cores, and even longer where something else runs.
    """
    import cv2
    import rapidocr
    from omegaconf import flag_override

    cv2.setNumThreads(THREADS)
    folder = Path(rapidocr.__file__).parent / "models"
    engine = rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": LARGEST_SIDE,
            "Det.limit_type": "max",
            "Det.limit_side_len": _SEARCHED_SIDE,
            "Rec.rec_batch_num": _BATCH,
        }
    )
    with flag_override(engine.cfg, "allow_objects", True):
        for step, (name, pinned) in _MODELS.items():
            engine.cfg[step].session = _session(folder / name, pinned)
    return engine


def _session(path: Path, pinned: str) -> Any:
    """Loaded from the very bytes that were checked."""
    import onnxruntime

    model = _read(path)
    found = hashlib.sha256(model).hexdigest()
    if found != pinned:
        raise _refused(f"{path.name} of rapidocr changed: SHA-256 is {found}, pinned is {pinned}. Reinstall")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # it keeps what the largest picture needed
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from error


def _refused(reason: str) -> VendorError:
    return VendorError("ocr", "load", reason, permanent=True)
