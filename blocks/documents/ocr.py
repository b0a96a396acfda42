"""Pictures of text to lines of print: PP-OCRv6 through RapidOCR, from the models that its package holds.

Nothing is downloaded: each model is named by its path, and one that is missing is an error.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.documents.lines import Line

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
_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}
_LETTERS = 0.75  # of a line's height, as OCR sees it, is the size of its print

_engine: Any = None


def lines(picture: "NDArray[np.uint8]", dpi: float, page: int = 1) -> list[Line]:
    """The lines in a picture, BGR in the shape [height, width, 3], their places in points. In no order."""
    found = _loaded()(picture)
    if not found.txts:
        return []
    scale = 72 / dpi
    read = []
    for box, text in zip(found.boxes, found.txts, strict=True):
        xs, ys = [float(x) * scale for x, _ in box], [float(y) * scale for _, y in box]
        height = (abs(ys[3] - ys[0]) + abs(ys[2] - ys[1])) / 2
        size = max(height * _LETTERS, 1.0)
        read.append(Line(str(text), min(xs), min(ys), max(xs), max(ys), size, page=page))
    return read


def _loaded() -> Any:
    global _engine  # the models take half a second to load, and a process needs them once
    if _engine is None:
        _engine = _load()
    return _engine


def _load() -> Any:
    import cv2
    import rapidocr

    cv2.setNumThreads(THREADS)
    folder = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": LARGEST_SIDE,
            "Det.limit_type": "max",
            "Det.limit_side_len": _SEARCHED_SIDE,
            "Rec.rec_batch_num": _BATCH,
            "EngineConfig.onnxruntime.intra_op_num_threads": THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **{f"{step}.model_path": str(folder / name) for step, name in _MODELS.items()},
        }
    )
