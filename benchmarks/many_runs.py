"""How long commands that look at many finished runs take, and the memory they need.

    python benchmarks/many_runs.py [--runs 10000] [--tasks 10] [--page 2000]

One real run of two steps is trained; all others are made from its records, with checksums: `--tasks` tasks, two
methods, five seeds each, and as many learning rates as it takes. Each command then runs as a process of its own:
seconds of the processor (user and system), and its largest resident memory. The page of `--page` runs is opened in a
Chromium, if there is one, by its own clock: until the script has run and the page is painted, and from one letter in
its filter to the next painted frame.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ptv2.run_folders.altered import CHECKSUM, hash_files, with_checksum
from ptv2.run_folders.directory import read_config, write_config

PTV2 = [sys.executable, "-m", "ptv2"]
TRAIN = ["train", "task=mini-inference", "model=tiny", "method=p-tuning-v2", "trainer.max_steps=2", "out=template"]
METHODS = ("p-tuning-v2", "fine-tuning")
SEEDS = 5
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Times of the page, from the start of its loading; `later` draws at the next frame, so the second one is painted.
PAGE = """<iframe src="report.html" width="1200" height="900"></iframe><script>
const began = performance.now();
const painted = (page) => new Promise((done) =>
  page.requestAnimationFrame(() => page.requestAnimationFrame(() => setTimeout(done, 0))));
onload = async () => {
  const page = frames[0];
  await painted(page);
  const opened = performance.now() - began;
  const times = [];
  for (const word of ["t", "task-1", ""]) {
    const start = performance.now();
    page.document.getElementById("words").value = word;
    page.document.getElementById("filter").dispatchEvent(new page.Event("input", { bubbles: true }));
    await painted(page);
    times.push(performance.now() - start);
  }
  const start = performance.now();
  page.document.querySelector(".open").click();
  await painted(page);
  const details = performance.now() - start;
  fetch("times", { method: "POST", body: JSON.stringify({ opened, filtered: Math.max(...times), details }) });
};
</script>"""


def main() -> int:
    """Make the runs, measure each command, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--page", type=int, default=2_000, help="runs on the page; 0: no page")
    parser.add_argument("--keep", metavar="DIR", help="make the runs here, or measure those that are here")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(options.keep or stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(contextlib.chdir(folder))
        for name, count in (("many", options.runs), ("page", options.page)):
            if count and not Path(name).is_dir():
                make_runs(Path(name), count, options.tasks)
        print(f"`python benchmarks/many_runs.py {' '.join(sys.argv[1:])}`\n\n{describe_machine()}\n")
        print("| command | runs | CPU seconds | peak memory, MB |\n|---|---:|---:|---:|")
        for words in (
            ["table", "--out", "many"],
            ["list", "runs", "--out", "many"],
            ["best", "task=task-0", "model=tiny", "out=many"],
        ):
            print_cost(words, options.runs)
        if options.page:
            print_cost(["report", "--out", "page", "--output", "report.html"], options.page)
            print_page(options.page)
    return 0


def make_runs(out: Path, count: int, tasks: int) -> None:
    """Make `count` folders of finished runs from one that is really trained."""
    subprocess.run([*PTV2, *TRAIN], check=True, capture_output=True)
    (template,) = (path.parent for path in Path("template").glob("*/result.json"))
    record = json.loads((template / "result.json").read_text(encoding="utf-8"))
    config = read_config(template).model_dump(mode="json")
    for number in range(count):
        seed, rest = number % SEEDS, number // SEEDS
        task, rest = f"task-{rest % tasks}", rest // tasks
        method, setting = METHODS[rest % 2], rest // 2
        name = f"{task}-tiny-{method}-{number:010x}"
        folder = out / name
        folder.mkdir(parents=True)
        for file in ("status.json", "env.json", "metrics.jsonl"):
            shutil.copyfile(template / file, folder / file)
        settings: dict[str, Any] = {
            **config,
            "seed": seed,
            "method": method,
            "task": config["task"] | {"name": task},
            "optim": config["optim"] | {"lr": 0.001 * (1 + setting)},
        }
        write_fast(write_config, folder, settings, {"name": name})
        score = 60 + (number * 7919 % 1000) / 50
        scores = {metric: score - n for n, metric in enumerate(record["dev"])}
        tree = {**record, "name": name, "task": task, "method": method, "seed": seed, "dev": scores}
        tree |= {"config": settings, "files": hash_files(folder)}
        tree.pop(CHECKSUM)
        (folder / "result.json").write_text(json.dumps(with_checksum(tree), indent=1), encoding="utf-8")


def write_fast(write: Any, *words: Any) -> None:
    """Write a file without waiting for the disk, which takes minutes for so many."""
    fsync, os.fsync = os.fsync, lambda _: None
    try:
        write(*words)
    finally:
        os.fsync = fsync


def print_cost(words: list[str], runs: int) -> None:
    """Run one command, and print its line of the table."""
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen([*PTV2, *words], stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ptv2 {' '.join(words)}: exit {process.returncode}")
    seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
    print(f"| `ptv2 {' '.join(words)}` | {runs:,} | {seconds:.1f} | {memory:.0f} |", flush=True)


def print_page(runs: int) -> None:
    """Open the page in a browser, and print how long it took."""
    size = Path("report.html").stat().st_size / 1e6
    print(f"\nThe page of {runs:,} runs has {size:.1f} MB.", end=" ")
    if BROWSER is None:
        print("There is no Chromium here to open it.")
        return
    Path("measure.html").write_text(PAGE, encoding="utf-8")
    with Pages(("127.0.0.1", 0), Handler) as pages, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        address = f"http://127.0.0.1:{pages.server_address[1]}/measure.html"
        browser = subprocess.Popen(
            [str(BROWSER), *words, address, "--remote-debugging-port=0"], stderr=subprocess.DEVNULL
        )
        try:
            times = json.loads(pages.told.get(timeout=60))
        except queue.Empty:
            print("The browser did not finish within a minute.")
            return
        finally:
            browser.terminate()
            browser.wait()
            pages.shutdown()
    print(
        f"Chromium opens it in {times['opened'] / 1000:.2f} s, filters in at most {times['filtered'] / 1000:.2f} s, "
        f"and shows the details of a run in {times['details'] / 1000:.2f} s."
    )


class Pages(ThreadingHTTPServer):
    """Serves the current folder to a browser, which posts what it measured."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.told: queue.Queue[bytes] = queue.Queue()


class Handler(SimpleHTTPRequestHandler):
    """Answers without a word on the screen."""

    server: Pages

    def do_POST(self) -> None:
        """Take the measurements."""
        self.server.told.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def describe_machine() -> str:
    """Processor, its instruction sets, and the versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    flags = {word for line in lines for word in line.split()}
    known = [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    versions = ", ".join(f"{name} {version(name)}" for name in ("pydantic", "rich", "jinja2"))
    return (
        f"{model}, {os.cpu_count()} cores ({', '.join(known)}), load {os.getloadavg()[0]:.1f}; "
        f"python {platform.python_version()}, {versions}."
    )


if __name__ == "__main__":
    sys.exit(main())
