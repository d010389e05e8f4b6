"""`ptv2 plan`: what a run would need, for each method, before anything is downloaded but the backbone's config.json."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ptv2.collector import collector_paused
from ptv2.config.compose import compose
from ptv2.config.identity import warn_of_unread
from ptv2.config.methods import METHODS, MULTITASK
from ptv2.config.multitask import in_override
from ptv2.config.schema import RunConfig
from ptv2.config.spelling import refuse_sweeps
from ptv2.config.task_schema import TaskConfig
from ptv2.console.arguments import Parser
from ptv2.console.json_document import show_json
from ptv2.data.sources import open_source
from ptv2.errors import ConfigError, Ptv2Error
from ptv2.experiment.needs import Need, count_work, run_need, shared_need
from ptv2.experiment.open import check_package

EPILOG = """Counted on the model's shape, on one process; a pass at the task's longest text gives the memory. Not in it:
what the framework itself takes, and memory that its allocator holds unused. Times come from a matrix product
that is measured on this machine, in the precision asked for."""


def _known(config: RunConfig) -> TaskConfig:
    """The task with a tag scheme, so that none is looked for in data: those of the hub would have to be fetched."""
    task = config.task
    if config.data.source != "hub" or task.tagging is None or task.tagging.scheme != "auto":
        return task
    return task.model_copy(update={"tagging": task.tagging.model_copy(update={"scheme": "bio"})})


def main(arguments: list[str]) -> int:
    """Print the needs of all methods."""
    parser = Parser(prog="ptv2 plan", keys=("out",), description=__doc__, epilog=EPILOG)
    parser.add_argument("settings", nargs="*", metavar="key=value", help="as ptv2 train takes them")
    parser.add_argument("--examples", type=int, help="training examples (default: the task's)")
    parser.add_argument("--length", type=int, help="mean tokens of a text, for the operations (default: the longest)")
    parser.add_config_dir()
    parser.add_json()
    options = parser.parse_args(arguments)
    for name in ("examples", "length"):
        if (given := getattr(options, name)) is not None and given < 1:
            raise ConfigError(f"--{name}={given}: expected 1 or more")
    refuse_sweeps(options.settings, "a plan is of one run; expected settings of that")
    config = compose(options.settings, options.config_dir)
    check_package(config)
    warn_of_unread(config, options.settings)
    plain = [word for word in options.settings if not word.startswith(("method=", "multitask.", "+multitask."))]

    from ptv2.models.checkpoints import check_folder, fetch_config, is_on_hub
    from ptv2.tasks.load import load_task

    task = load_task(_known(config), open_source(config), reading="mask" if config.head.kind == "verbalizer" else None)
    work = count_work(config, task, options.examples, options.length)
    check_folder(config.model)
    if is_on_hub(config.model) and not config.model.config:  # else the sizes are known anyway
        fetch_config(config.model.path, config.model.revision)

    with collector_paused():
        from ptv2.models.outline import find_config

    shape, origin = find_config(config.model)
    needs: list[Need] = []
    refused: dict[str, str] = {}
    if config.multitask is not None and config.data.dir is not None:  # it may have stood in multitask.dirs
        plain += ["data.source=files", f"data.dir={in_override(config.data.dir)}"]
    compared = [name for name, row in METHODS.items() if row.of_paper or name == config.tuning.name]

    def count_method(method: str) -> Need:
        return run_need(compose([*plain, f"method={method}"], options.config_dir), task, work, shape)

    counts: dict[str, Callable[[], Need]] = {method: partial(count_method, method) for method in compared}
    if config.multitask is not None:
        counts |= {f"{MULTITASK}, shared part": partial(shared_need, config, shape)}
        counts |= {config.method: partial(run_need, config, task, work, shape)}
    for method, count in counts.items():
        try:
            needs.append(count())
        except Ptv2Error as error:
            refused[method] = str(error)

    from ptv2.experiment.needs_table import record_needs, show_needs

    if options.json:
        show_json(record_needs(config, work, origin, needs, refused))
        return 0
    show_needs(config, work, origin, needs, refused)
    return 0
