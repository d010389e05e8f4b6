"""Several trainings over one frozen backbone: each in a thread of its own, of which one runs at a time.

A training that needs the backbone waits until all others do; their rows then go through it in one pass, and their
gradients come back in one. Everything else (batches, heads, clipping, updates, evaluations, states) is each training's
own, as if it ran alone. On a CPU, where more rows in a pass are no faster, padding to the longest costs, and threads of
several trainings are in each other's way, one training follows the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor

from ptv2.config.schema import RunConfig
from ptv2.models.attention import LayerPrompts
from ptv2.models.backbones import Backbone, load_backbone, with_pooler_of
from ptv2.models.build import PromptedModel
from ptv2.models.together import JointPass, Rows, why_alone
from ptv2.training.device import empty_cache
from ptv2.training.state import random_state, restore_random_state
from ptv2.training.stop import StopRequest

# Types of devices on which one training follows the other.
SEPARATE = frozenset({"cpu"})

_current: ContextVar[Member | None] = ContextVar("member", default=None)


def current_member() -> Member | None:
    """The member of a group whose thread this is; None: this training is alone."""
    return _current.get()


class Member:
    """One training of a group, as its own thread and the group see it."""

    def __init__(self, group: Group, work: Callable[[], None]) -> None:
        self.group = group
        self.waits_for: Literal["forward", "backward"] | None = None
        self.ended = False
        self.rows: Rows | None = None
        self.hidden: Tensor | None = None
        self.error: Exception | None = None  # of the pass that it waits for
        self.failure: BaseException | None = None  # that ended `work`
        self.model: PromptedModel
        self.accelerator: Accelerator
        self.random: dict[str, Tensor] | None = None
        self.name: str | None = None  # of the run; None: not in the group
        self._work = work
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)  # ends with the process on a second Ctrl-C

    def join(self, model: PromptedModel, accelerator: Accelerator, name: str = "") -> None:
        """Let `model`, which is to be trained as the run `name`, use the backbone together with the others."""
        if self.group.reason is None:
            self.group.joined += 1
            self.name = name
            self.group.device = accelerator.device.type
            if not self.group.in_turn:
                self.model, self.accelerator = model, accelerator
                model.together = self

    def forward(self, inputs: dict[str, Any], prompts: LayerPrompts | None) -> Tensor:
        """The backbone's last states, once all others wait too; a leaf whose gradient `backward` passes on."""
        self.rows = Rows(inputs, prompts)
        self._wait("forward")
        assert self.hidden is not None
        return self.hidden

    def backward(self) -> None:
        """Get the prompts' gradients, once all others of the same pass are there."""
        self._wait("backward")
        self.rows = self.hidden = None

    def resume(self) -> None:
        """Let it run until it waits again or has ended."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._turn.release()
        self._done.acquire()

    def run_here(self) -> None:
        """Run it to its end in this thread: threads of their own are slower even one at a time."""
        token = _current.set(self)
        try:
            self._work()
        finally:
            _current.reset(token)
            self.ended = True

    def _wait(self, what: Literal["forward", "backward"]) -> None:
        self.waits_for, self.random = what, random_state()
        self._done.release()
        self._turn.acquire()
        restore_random_state(self.random)
        self.waits_for = None
        if (error := self.error) is not None:
            self.error = None
            raise error

    def _run(self) -> None:
        _current.set(self)
        try:
            self._work()
        except BaseException as error:
            self.failure = error
        finally:
            if "model" in self.__dict__:
                self.model.together = None
                del self.model
            self.ended = True
            self._done.release()


class Group:
    """Trainings that share a backbone."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """`note` is told why the trainings run one after the other, where they do."""
        self.reason: str | None = None
        self.joined = 0  # trainings that were not finished before
        self.device = ""  # its type, once a training has joined
        self._note = note
        self._size = 0
        self._backbone: Backbone | None = None
        self._passes: dict[JointPass, list[Member]] = {}
        self._members: list[Member] = []

    def backbone(self, config: RunConfig) -> Backbone | None:
        """The backbone of all, with the pooler that `config` alone would have; None: load another one."""
        if self.reason is not None:
            return None
        if self._backbone is None:
            loaded = load_backbone(config.model, config.seed)
            self.reason = why_alone(loaded.family)
            if self.reason is not None:
                self._note(f"trained one after the other: {self.reason}")
                return loaded
            self._backbone = loaded
        return with_pooler_of(self._backbone, config.seed)

    @property
    def in_turn(self) -> bool:
        """Whether one training follows the other; known once one has joined."""
        return self.device in SEPARATE

    @property
    def company(self) -> int:
        """The trainings that share the backbone; in turn, nobody knows which of the later ones are finished."""
        return self._size if self.in_turn else self.joined

    @property
    def names(self) -> list[str]:
        """The runs whose rows go through the backbone in one pass; empty where one follows the other."""
        return [] if self.in_turn else [member.name for member in self._members if member.name is not None]

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        """Run all to their ends. A signal to stop is heeded by each training itself.

        Raises:
            BaseException: what ended one of `works`, which catch what shall not end the others.
        """
        members = self._members = [Member(self, work) for work in works]
        self._size = len(works)
        with StopRequest():
            if "cpu" in SEPARATE and not torch.accelerator.is_available():
                for member in members:
                    member.run_here()
                return
            while members:
                self._step(members)
                members = [member for member in members if not member.ended]

    def _step(self, members: Sequence[Member]) -> None:
        """Make the forward pass that all wait for, if they do, and what comes after it until they wait for the next."""
        self._passes = {}
        self._go_forward([member for member in members if member.waits_for == "forward"])
        ready = members
        while ready:
            for member in ready:
                member.resume()
                if member.failure is not None:
                    raise member.failure
            ready = [member for member in members if member.waits_for == "backward"]
            if ready:
                self._go_back()

    def _go_forward(self, members: list[Member]) -> None:
        """Make one pass; where it fails, two with half the members each, so that who is at fault fails alone."""
        if not members:
            return
        if self._make_pass(members):
            return
        # Not while the error is handled, which holds the memory that the failed pass took.
        empty_cache()
        half = len(members) // 2
        self._go_forward(members[:half])
        self._go_forward(members[half:])

    def _make_pass(self, members: list[Member]) -> bool:
        """Make one pass for members; false: it failed, and nobody was told, since there are several."""
        first = members[0]
        assert first.random is not None
        restore_random_state(first.random)  # dropout inside the backbone draws from the first member's
        try:
            with first.accelerator.autocast():
                rows = [member.rows for member in members if member.rows is not None]
                done = JointPass(first.model.backbone, rows, first.model.config.pad_token_id)
        except Exception as error:
            if len(members) > 1:
                return False
            first.error = error
            return True
        first.random = random_state()
        self._passes[done] = members
        for member, hidden in zip(members, done.hidden, strict=True):
            member.hidden = hidden
        return True

    def _go_back(self) -> None:
        for done, members in self._passes.items():
            try:
                done.backward()
            except Exception as error:
                for member in members:
                    member.error = error
        self._passes = {}
