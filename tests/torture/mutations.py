"""Inputs changed at random: each is refused in one line, or means what stands in it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from torture.formats import Format, data_formats
from torture.frame import Campaign, Trial, call, ending, error_of, judge
from torture.mutators import mutate
from torture.other_formats import other_formats

KINDS = {".jsonl": "lines", ".json": "json", ".yaml": "yaml"}


class Mutations(Campaign):
    name = "mutations"
    about = "inputs of every format changed at random, through the command that reads them"
    most = 5200

    def prepare(self, folder: Path) -> None:
        self.common = folder
        self.formats = [*data_formats(), *other_formats()]
        for one in self.formats:
            shutil.rmtree(self._sound(one), ignore_errors=True)
            self._sound(one).mkdir(parents=True)
            one.write(self._sound(one), folder)

    def _sound(self, form: Format) -> Path:
        return self.common / "sound" / form.name.replace(" ", "-")

    def attempt(self, number: int, draw: random.Random, folder: Path) -> Trial:
        form = draw.choices(self.formats, [one.share for one in self.formats])[0]
        base = folder / "in"
        shutil.copytree(self._sound(form), base)
        victim = draw.choice(sorted(path for pattern in form.victims for path in base.glob(pattern) if path.is_file()))
        about, content = mutate(draw, victim.read_bytes(), KINDS.get(victim.suffix, "bytes"))
        victim.write_bytes(content)
        trial = Trial(f"{form.name}, {victim.relative_to(base)}: {about}")
        done = call(form.words(base, self.common), folder)
        trial.ending, trial.said = ending(done), error_of(done)
        trial.faults += judge(done, form.allowed)
        if done.code == 0 and not trial.faults:
            trial.faults += form.meaning(base, victim, done)
        return trial
