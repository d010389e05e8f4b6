"""Which places a request leaves of a table, which runs fill them, and the line that a wrong name gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptv2.config.methods import METHODS
from ptv2.errors import ConfigError
from ptv2.reproduce.jobs import feasible
from ptv2.reproduce.jobs.list_jobs import Job
from ptv2.reproduce.options import Options, read_settings
from ptv2.reproduce.table.cells import list_table_jobs, read_table_request
from ptv2.reproduce.table.entries import published
from ptv2.reproduce.table.spec import read_table

MINE = """# Mine.
title: Mine
seeds: [1, 2]
methods: [fine-tuning, p-tuning-v2, multitask-p-tuning-v2]
rows: [{name: tiny, overrides: [data.limit.train=32]}]
columns:
  - mini-inference
  - {name: mini-entities, overrides: [task.max_length=64]}
  - {name: conll04, split: test}
"""


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the cache, and nobody asks the network."""
    monkeypatch.setattr(feasible.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(feasible.constants, "HF_HUB_CACHE", "/no/such/cache")
    feasible.why_unreachable.cache_clear()


def ask(*words: str, **flags: str) -> Options:
    return read_settings(words, **flags)


def own_table(tmp_path: Path, text: str = MINE) -> str:
    (tmp_path / "table").mkdir(exist_ok=True)
    (tmp_path / "table" / "mine.yaml").write_text(text, encoding="utf-8")
    return str(tmp_path)


def write_superglue(root: Path, *names: str) -> Path:
    for name in names:
        (root / "superglue" / name).mkdir(parents=True)
        for split in ("train", "val"):
            (root / "superglue" / name / f"{split}.jsonl").write_text('{"idx": 0}\n', encoding="utf-8")
    return root


def settings(jobs: list[Job]) -> list[str]:
    return [word for word in jobs[0].overrides if not word.startswith(("seed=", "out="))]


# Layout of the paper's tables


@pytest.mark.parametrize(
    ("table", "rows", "columns", "methods"),
    [
        ("2", 4, "boolq cb copa multirc record rte wic wsc", 3),
        ("3", 3, "conll03 ontonotes conll04 squad squad_v2 conll12 conll05_wsj conll05_brown", 4),
        ("4", 1, "sst2 rte boolq cb", 2),
    ],
)
def test_the_papers_tables_have_a_place_for_every_published_number(
    table: str, rows: int, columns: str, methods: int
) -> None:
    request = read_table_request(ask(f"table={table}"))
    assert (len(request.rows), len(request.methods)) == (rows, methods)
    assert [column.name for column in request.columns] == columns.split()
    missing, count = [], 0
    for position in request.positions:
        name = position.method.paper or position.method.name
        for metric in position.column.metrics or ["f1" if table == "3" else "accuracy"]:
            count += 1
            if published(int(table), position.column.name, metric, position.row.name, name) is None:
                missing.append((position.key, metric))
    assert not missing
    assert count == {"2": 96, "3": 120, "4": 8}[table], "and there are no more"


def test_bert_is_cased_but_for_entities() -> None:
    planned = list_table_jobs(
        request := read_table_request(ask("table=3", "rows=bert-large", "seeds=1")), ask("table=3")
    )
    models = {key[1]: [w for w in settings(jobs) if w.startswith("model=")] for key, jobs in planned.items()}
    assert models["conll03"] == ["model=bert-large-uncased"]
    assert models["squad"] == models["conll12"] == ["model=bert-large-cased"]
    assert len(planned) == 8 * len(request.methods)


def test_two_columns_of_one_task_are_the_same_runs(tmp_path: Path) -> None:
    for name in ("train.props", "dev.props", "test.props", "test-brown.props"):
        (tmp_path / "conll05").mkdir(exist_ok=True)
        (tmp_path / "conll05" / name).write_text("x - *\n\n", encoding="utf-8")
    options = ask(
        "table=3", "model=tiny", "methods=p-tuning-v2", "columns=conll05_wsj,conll05_brown", f"data={tmp_path}"
    )
    planned = list_table_jobs(read_table_request(options), options)
    wsj, brown = (planned["tiny", name, "p-tuning-v2"] for name in ("conll05_wsj", "conll05_brown"))
    assert [job.folder for job in wsj] == [job.folder for job in brown]
    assert wsj[0].folder is not None
    assert len({job.folder for job in wsj}) == 5, "one a seed"


# Why cells cannot run


def test_every_cell_of_the_papers_tables_has_runs_or_a_reason(tmp_path: Path) -> None:
    options = ask("table=2", "seeds=1", f"data={write_superglue(tmp_path, 'RTE')}", "rows=bert-large,glm-xxlarge")
    planned = list_table_jobs(read_table_request(options), options)
    reasons = {key: jobs[0].why or "" for key, jobs in planned.items()}
    assert all(reasons.values())
    assert reasons["bert-large", "rte", "fine-tuning"].startswith("no weights: google-bert/bert-large-cased")
    assert reasons["bert-large", "boolq", "fine-tuning"].startswith("no data: aps/super_glue")
    assert reasons["glm-xxlarge", "rte", "fine-tuning"].startswith("too large: needs at least 1")
    assert "head.kind=verbalizer: task copa has none" in reasons["glm-xxlarge", "copa", "p-tuning-v2"]


def test_label_words_are_not_planned_for_a_checkpoint_without_a_language_model_head(tmp_path: Path) -> None:
    options = ask("table=4", "seeds=1", f"data={write_superglue(tmp_path, 'RTE')}", "model=minilm", "columns=rte")
    planned = list_table_jobs(read_table_request(options), options)
    reasons = {key[2]: jobs[0].why or "" for key, jobs in planned.items()}
    assert reasons["linear"] == ""
    assert reasons["verbalizer"].startswith("no LM head: embedded:minilm: the checkpoint lacks the language-model head")


def test_too_large_is_tried_anyway_if_one_says_so(tmp_path: Path) -> None:
    words = ("table=2", "seeds=1", f"data={write_superglue(tmp_path, 'RTE')}", "rows=glm-xxlarge", "columns=rte")
    options = read_settings(words, anyway=True)
    (jobs, *_) = list_table_jobs(read_table_request(options), options).values()
    assert (jobs[0].why or "").startswith("no weights")


# Filters


def test_filters_choose_rows_columns_methods_and_seeds() -> None:
    options = ask("table=2", "rows=roberta-large", "columns=wsc,rte", "methods=p-tuning-v2", "seeds=7")
    request = read_table_request(options)
    assert [position.key for position in request.positions] == [
        ("roberta-large", "rte", "p-tuning-v2"),
        ("roberta-large", "wsc", "p-tuning-v2"),
    ]
    assert request.seeds == [7]
    assert request.stem == "table2-roberta-large-rte-wsc-p-tuning-v2", "the whole table's files are not overwritten"
    assert read_table_request(ask("table=2")).stem == "table2"
    assert read_table_request(ask("table=2", "model=minilm")).stem == "table2-minilm"
    assert read_table_request(ask("table=2", "model=minilm", "name=on half of the data")).stem == "on half of the data"
    rows, every = "rows=bert-large,roberta-large,glm-xlarge", ",".join(METHODS)
    columns = ["boolq,cb,copa,multirc,record,rte,wic", "boolq,cb,copa,multirc,record,rte,wsc"]
    stems = {read_table_request(ask("table=2", rows, f"columns={some}", f"methods={every}")).stem for some in columns}
    assert [len(stem) for stem in stems] == [120, 120], "nor those of another long choice"


def test_methods_that_the_table_has_not_stand_behind_its_own() -> None:
    request = read_table_request(ask("table=2", "rows=roberta-large", "columns=rte", "methods=lora,fine-tuning,bitfit"))
    assert [position.key[2] for position in request.positions] == ["fine-tuning", "lora", "bitfit"]
    assert [method.shown for method in request.methods] == ["FT", "LoRA", "BF"]
    assert request.stem == "table2-roberta-large-rte-fine-tuning-lora-bitfit"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table=5"], "unknown table '5'; known: 2, 3, 4"),
        (["table=2", "rows=bert"], "unknown row 'bert'.* known: bert-large, glm-xlarge, glm-xxlarge, roberta-large"),
        (["table=2", "columns=rtee"], "unknown column 'rtee'; did you mean rte.* known: boolq, cb, .*other tasks too"),
        (
            ["table=2", "methods=pt"],
            "unknown method 'pt'.* known: fine-tuning, p-tuning-v2, prompt-tuning; other methods too: .*lora",
        ),
        (["table=2", "model=minilmm"], "unknown model 'minilmm'; did you mean minilm"),
        (["table=2", "share=all"], "share: unknown choice 'all'"),
    ],
)
def test_a_wrong_name_is_answered_with_the_choices(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_table_request(ask(*words))


def test_a_setting_that_is_wrong_everywhere_is_an_error_and_not_a_full_table_of_reasons() -> None:
    options = ask("table=4", "model=tiny", "trainer.epoch=3", "columns=rte")
    with pytest.raises(ConfigError, match=r"trainer\.epoch"):
        list_table_jobs(read_table_request(options), options)


# Another backbone, and the data that one has


def test_another_backbone_is_the_only_row_and_brings_columns_that_have_data(tmp_path: Path) -> None:
    (tmp_path / "sst2").mkdir()
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / "sst2" / name).write_text("sentence\tlabel\n", encoding="utf-8")
    paper = [column.name for column in read_table_request(ask("table=2", f"data={tmp_path}")).columns]
    own = read_table_request(ask("table=2", "model=tiny", f"data={tmp_path}"))
    assert [row.name for row in own.rows] == ["tiny"]
    assert [column.name for column in own.columns] == [*paper, "sst2"]
    assert "sst2" not in paper
    named = read_table_request(ask("table=2", "model=tiny", "columns=sick,rte"))
    assert [column.name for column in named.columns] == ["rte", "sick"], "asked for by name, with data or without"


def test_a_checkpoint_of_ones_own_is_a_row() -> None:
    options = ask("table=2", "model.path=some/where/my-bert", "columns=rte", "methods=p-tuning-v2", "seeds=1")
    request = read_table_request(options)
    assert [row.name for row in request.rows] == ["my-bert"]
    (jobs,) = list_table_jobs(request, options).values()
    assert not any(word.startswith("model=") for word in jobs[0].overrides)


def test_any_task_can_be_a_column() -> None:
    request = read_table_request(ask("table=2", "model=tiny", "columns=mini-inference"))
    assert [(column.name, column.split) for column in request.columns] == [("mini-inference", None)]


# Tables of one's own, and prompts that tasks share


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    folder = own_table(tmp_path)
    options = ask("table=mine", "methods=p-tuning-v2", config_dir=folder)
    planned = list_table_jobs(read_table_request(options), options)
    jobs = planned["tiny", "mini-inference", "p-tuning-v2"]
    assert [job.seed for job in jobs] == [1, 2]
    assert jobs[0].overrides[:2] == ("--config-dir", folder), "its runs find its tasks too"
    assert jobs[0].config is not None
    assert jobs[0].config.data.limit["train"] == 32
    assert jobs[0].why is None
    assert str(planned["tiny", "conll04", "p-tuning-v2"][0].why).startswith("no data: expected train.txt, dev.txt")


def test_tasks_with_data_share_prompts_with_the_settings_of_their_own_columns(tmp_path: Path) -> None:
    options = ask("table=mine", "share=table", config_dir=own_table(tmp_path))
    planned = list_table_jobs(read_table_request(options), options)
    first, second = (planned["tiny", f"mini-{name}", "multitask-p-tuning-v2"][0] for name in ("inference", "entities"))
    shared = [[part for part in job.overrides if part.startswith("multitask.tasks=")] for job in (first, second)]
    assert shared[0] == shared[1], "one shared run for both"
    assert first.config is not None
    assert first.config.multitask is not None
    parts = {entry.task.name: entry for entry in first.config.multitask.tasks}
    assert parts.keys() == {"mini-inference", "mini-entities"}, "conll04 has no data"
    assert parts["mini-entities"].task.max_length == 64
    assert {entry.data.limit["train"] for entry in parts.values()} == {32}
    assert str(planned["tiny", "conll04", "multitask-p-tuning-v2"][0].why).startswith("no data")


def test_a_filter_does_not_change_which_tasks_share_prompts(tmp_path: Path) -> None:
    folder = own_table(tmp_path)
    words = ("table=mine", "share=table", "methods=multitask-p-tuning-v2")
    whole, part = (ask(*words, *more, config_dir=folder) for more in ((), ("columns=mini-entities",)))
    key = ("tiny", "mini-entities", "multitask-p-tuning-v2")
    assert (
        list_table_jobs(read_table_request(whole), whole)[key] == list_table_jobs(read_table_request(part), part)[key]
    )


def test_a_task_that_is_alone_of_its_kind_says_so(tmp_path: Path) -> None:
    options = ask("table=mine", config_dir=own_table(tmp_path))
    planned = list_table_jobs(read_table_request(options), options)
    assert planned["tiny", "mini-entities", "multitask-p-tuning-v2"][0].why == (
        "not available: two tasks or more with data share prompts; there are none for conll04 "
        "(share=table: with all tasks of the table)"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("title: Mine", "titel: Mine"), "unknown key 'titel'; did you mean title"),
        (("- mini-inference\n", "- mini-inference\n  - mini-inference\n"), "mini-inference stands there twice"),
        (("seeds: [1, 2]", "baseline: nothing\nseeds: [1]"), "unknown baseline 'nothing'"),
        (("columns:", "columns: ["), "no YAML"),
    ],
)
def test_a_faulty_table_names_what_is_wrong(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_table("mine", own_table(tmp_path, MINE.replace(*change)))
