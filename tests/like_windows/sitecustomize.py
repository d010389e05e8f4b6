"""Take from a Python process what Windows lacks, and let open files resist as they do there.

Python imports this when it starts, where the folder is on PYTHONPATH. Libraries keep what they import on this system.
"""

import builtins
import os
import signal
import sys
from contextlib import suppress

ABSENT = ("fcntl", "resource", "termios", "pwd", "grp")
OURS = ("ptv2", "hydra_plugins")
IN_USE = "The process cannot access the file because it is being used by another process"
_import, _open, _replace, _unlink = builtins.__import__, os.open, os.replace, os.unlink


def import_as_there(name, globals=None, locals=None, fromlist=(), level=0):
    importer = str((globals or {}).get("__name__"))
    if name in ABSENT and importer.partition(".")[0] in OURS:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    return _import(name, globals, locals, fromlist, level)


def open_as_there(path, flags, mode=0o777, *, dir_fd=None):
    if not isinstance(path, int) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return _open(path, flags, mode, dir_fd=dir_fd)


def replace_as_there(source, target, **more):
    refuse_open(source)
    refuse_open(target)
    return _replace(source, target, **more)


def unlink_as_there(path, **more):
    if more.get("dir_fd") is None:
        refuse_open(path)
    return _unlink(path, **more)


def refuse_open(path):
    """Refuse to rename or remove a file that this process has open or mapped; what has other ways on Windows may."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("filelock") or (module == "tempfile" and frame.f_code.co_name == "TemporaryFile"):
            return
        frame = frame.f_back
    if os.path.realpath(os.fsdecode(path)) in files_in_use():
        raise PermissionError(13, IN_USE, os.fsdecode(path))


def files_in_use():
    paths = set()
    with suppress(FileNotFoundError):  # no Linux: nothing is known
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                paths.add(os.readlink(f"/proc/self/fd/{number}"))
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths |= {"/" + line.rstrip("\n").partition("/")[2] for line in maps if "/" in line}
    return paths


builtins.__import__ = import_as_there
os.open, os.unlink, os.remove = open_as_there, unlink_as_there, unlink_as_there
os.replace = os.rename = replace_as_there
for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGTSTP"):
    if hasattr(signal, name):
        delattr(signal, name)
if hasattr(os, "fchmod"):
    del os.fchmod
