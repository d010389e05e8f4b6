"""`ptv2 analyze`: files, words and refusals, on runs of a tiny backbone."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from commandline import Done, finish, only_run, python, result_of, run, train_words, write_sentences

SETTINGS = {
    "p-tuning-v2": ("prompt.reparameterization=mlp", "prompt.mlp_hidden=8", "prompt.length=5"),
    "prompt-tuning": ("prompt.length=5",),
    "fine-tuning": ("optim.lr=0.003",),
}
LAYERS, HEADS = 2, 4  # of model=tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each method."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_sentences(folder / "data")
    runs = {}
    for method, settings in SETTINGS.items():
        common = (f"method={method}", "+model.config.initializer_range=0.3", "trainer.batch_size=8", "trainer.epochs=3")
        done = run(train_words(data, folder / method, *common, *settings), folder)
        assert done.code == 0, done.err
        runs[method] = only_run(folder / method)
    return runs


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def of(*names: str) -> set[str]:
    return {f"{name}.{ending}" for name in names for ending in ("csv", "png", "svg")} | {"summary.md"}


def well(done: Done) -> Done:
    assert done.code == 0, done.err
    return done


def test_everything_of_a_run_with_prompts_at_layers(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(trained["p-tuning-v2"], tmp_path / "run")
    done = well(run(["analyze", str(folder)], tmp_path))
    analysis = folder / "analysis"
    assert files(analysis) == of("attention", "vocabulary", "ablation", "probing")
    for name in ("attention", "vocabulary", "ablation", "probing"):
        (line,) = (line for line in done.out.splitlines() if line.startswith(f"{name}: "))
        assert line.removeprefix(f"{name}: ") in (analysis / "summary.md").read_text(encoding="utf-8")
        assert (analysis / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (analysis / f"{name}.svg").read_text(encoding="utf-8")

    attention = rows(analysis / "attention.csv")
    assert [(row["layer"], row["head"]) for row in attention] == [
        (str(x), str(y)) for x in range(LAYERS) for y in range(HEADS)
    ]
    assert all(0 < float(row[name]) < 1 for row in attention for name in ("share", "untrained", "even"))
    assert any(row["share"] != row["untrained"] for row in attention)

    vocabulary = rows(analysis / "vocabulary.csv")
    assert len(vocabulary) == LAYERS * 2 * 5 * 5  # keys and values of five prompts, five tokens each
    assert all(-1 <= float(row["cosine"]) <= 1 and row["token"] for row in vocabulary)

    ablation = rows(analysis / "ablation.csv")
    assert [(row["prompts"], row["layer"]) for row in ablation] == [
        *[("all", ""), ("none", "")],
        *[(kept, str(layer)) for kept in ("without", "only") for layer in range(LAYERS)],
    ]
    dev = result_of(folder)["dev"]["accuracy"]
    assert float(ablation[0]["accuracy"]) == pytest.approx(dev, abs=1e-3)  # all of dev, as it was scored when trained

    probing = rows(analysis / "probing.csv")
    assert [(row["states"], row["layers_passed"]) for row in probing] == [
        (name, str(depth)) for name in ("with prompts", "without prompts") for depth in range(LAYERS + 1)
    ]
    assert all(0 <= float(row["accuracy"]) <= 100 for row in probing)
    assert float(probing[0]["majority_accuracy"]) == 50


def test_a_second_time_is_the_same(trained: dict[str, Path], tmp_path: Path) -> None:
    words = ["analyze", str(trained["p-tuning-v2"]), "--limit", "12", "--only", "vocabulary,attention", "--output"]
    for name in ("one", "two"):
        well(run([*words, str(tmp_path / name)], tmp_path))
    assert files(tmp_path / "one") == of("attention", "vocabulary")
    for name in files(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert "12 dev examples (12 of 40 records, drawn)" in (tmp_path / "one" / "summary.md").read_text(encoding="utf-8")


def test_shallow_prompts_have_one_place(trained: dict[str, Path], tmp_path: Path) -> None:
    well(run(["analyze", str(trained["prompt-tuning"]), "--output", str(tmp_path / "out")], tmp_path))
    assert files(tmp_path / "out") == of("attention", "vocabulary", "ablation", "probing")
    assert {(row["layer"], row["part"]) for row in rows(tmp_path / "out" / "vocabulary.csv")} == {("", "embedding")}
    assert [row["prompts"] for row in rows(tmp_path / "out" / "ablation.csv")] == ["all", "none"]
    assert len(rows(tmp_path / "out" / "attention.csv")) == LAYERS * HEADS


def test_of_fine_tuning_only_probing(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = trained["fine-tuning"]
    done = well(run(["analyze", str(folder), "--output", str(tmp_path / "out")], tmp_path))
    assert "fine-tuning has no prompts: probing only" in done.err
    assert files(tmp_path / "out") == of("probing")
    found = rows(tmp_path / "out" / "probing.csv")
    assert {row["states"] for row in found} == {"fine-tuned", "pretrained"}
    of_each = {
        name: [row["accuracy"] for row in found if row["states"] == name] for name in ("fine-tuned", "pretrained")
    }
    assert of_each["fine-tuned"] != of_each["pretrained"]
    assert len(of_each["pretrained"]) == LAYERS + 1


@pytest.mark.parametrize(
    ("method", "words", "said"),
    [
        (
            "fine-tuning",
            ["--only", "probing,attention"],
            "--only attention: fine-tuning has no prompts; expected probing",
        ),
        (
            "prompt-tuning",
            ["--only", "atention"],
            "--only: unknown analysis 'atention'; did you mean attention? known: ",
        ),
        ("prompt-tuning", ["--limit", "-1"], "--limit -1: expected a number of records, or 0 for all"),
        ("prompt-tuning", ["--data-dir", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    method: str, words: list[str], said: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    done = run(["analyze", str(trained[method]), "--output", str(tmp_path / "out"), *words], tmp_path)
    assert done.code == 2
    assert said in done.error
    assert not (tmp_path / "out").exists()


def test_a_run_that_cannot_be_written_to_is_refused_before_anything_is_computed(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    words = ["analyze", str(trained["p-tuning-v2"])]
    denied = (
        "import os, sys\nos.access = lambda path, mode: False\nfrom ptv2.cli import main\ncode = main(sys.argv[1:])\n"
    )
    done = finish(python("-c", denied + "print('torch' in sys.modules)\nsys.exit(code)", *words))
    expected = f"{words[1]}/analysis: Permission denied; --output DIR names another folder for the files"
    assert (done.code, done.error, done.out) == (2, expected, "False\n")


def test_other_data_need_only_the_split_that_is_looked_at(trained: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n")
    done = run(["analyze", str(trained["prompt-tuning"]), "--only", "ablation", "--data-dir", str(tmp_path)], tmp_path)
    assert done.code == 2
    assert done.error.startswith(f"{tmp_path}: no dev file; expected dev.")
    assert "data.split" not in done.error


@pytest.mark.parametrize(
    ("lost", "message"),
    [(("artifact", "result.json"), "the run is not finished"), (("artifact",), "its weights are missing")],
)
def test_a_run_without_weights_is_refused(
    lost: tuple[str, ...], message: str, trained: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(trained["p-tuning-v2"], tmp_path / "run", ignore=shutil.ignore_patterns(*lost))
    assert message in run(["analyze", str(folder)], tmp_path).error


def test_help_needs_neither_torch_nor_matplotlib() -> None:
    ask = (
        "import sys\nfrom ptv2.cli import main\n"
        "try:\n    main(['analyze', '--help'])\nexcept SystemExit:\n    pass\n"
        "found = {'torch', 'transformers', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(str(found) if found else 0)\n"
    )
    done = finish(python("-c", ask))
    assert (done.code, done.err) == (0, "")
    assert "--only" in done.out
