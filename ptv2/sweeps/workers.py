"""Workers of joblib end with the process that started them: no sweep goes on that nobody can stop."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from functools import cache

from ptv2.training.stop import StopRequest

POLL = 1.0  # seconds between two looks
PUT_AWAY = 5.0  # seconds for what follows a training that was stopped


@cache  # a worker gets several jobs
def end_with_parent() -> None:
    """In a worker of joblib, save the state of what is trained and end once the parent has been killed."""
    if re.fullmatch(r"Loky\w*-\d+", multiprocessing.current_process().name):
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)  # ends the process, unless it trains
    while StopRequest.is_entered():
        time.sleep(POLL)
    time.sleep(PUT_AWAY)
    os._exit(1)
