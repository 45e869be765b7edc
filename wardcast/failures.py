"""How a command ends that cannot go on: what the person is told, and with which exit code."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
TERMINATED = 143
_AGAIN_SECONDS = 0.05
_ASIDE = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
"""The name of a folder in which `features.atomic` makes what will bear the name within."""
DEBUG = "WARDCAST_DEBUG"
"""Environment variable: set to anything, whatever is no `UserError` shows its traceback."""
_INTERRUPTION = "Interrupted. Nothing half-written was left."
_TERMINATION = "Terminated. Nothing half-written was left."
_NO_MEMORY = (
    "There is not enough memory. Free some, or let the data engine have more: memory_limit_mb in "
    "wardcast.toml (`wardcast settings` shows what is in force)."
)
_NO_FILE = (
    "The data engine could not read or write a file: is the disk full, the folder for temporary files "
    "(TMPDIR) too small, or a file missing or damaged? Mend that and run the command again."
)
_NO_STORE = (
    "MLflow's store did not do what was asked: look whether that of MLFLOW_TRACKING_URI, or mlflow.db in the "
    "work folder, can be reached and written to. Then run the command again."
)


@contextmanager
def told() -> Iterator[None]:
    """Run a command; whatever stops it is told on standard error, and ends the process.

    A `UserError` and an error of the machine (files, disk, memory, MLflow's store) end with 1 and what to
    do, an interruption (Ctrl-C) with 130, a termination (SIGTERM, as systemd, Kubernetes and `timeout` send
    it) with 143; both clean up. Anything else is a defect: 1, with its kind and place alone, since the
    message of a library may quote a patient's value. `WARDCAST_DEBUG` shows whatever is no `UserError`.
    """
    terminated: list[int] = []

    def terminate(number: int, _frame: FrameType | None) -> None:
        terminated.append(number)
        # Once is enough: a second one would break the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    former_hook, sys.unraisablehook = sys.unraisablehook, _interrupt_again
    former_handler = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except SystemExit as ended:
        # Typer answers Ctrl-C with this code and without a word.
        if ended.code == INTERRUPTED:
            _stop_interrupted(ended, is_terminated=bool(terminated))
        raise
    except KeyboardInterrupt as interrupt:
        _stop_interrupted(interrupt, is_terminated=bool(terminated))
    except Exception as error:
        # Imported here: a command that goes well needs it not, and help answers at once.
        from features.errors import UserError

        if _is_interrupt(error):
            _stop_interrupted(error, is_terminated=bool(terminated))
        if isinstance(error, UserError):
            _stop(str(error), 1)
        if os.environ.get(DEBUG):
            raise
        _stop(_of_the_machine(error) or _defect(error), 1)
    finally:
        sys.unraisablehook = former_hook
        signal.signal(signal.SIGTERM, former_handler)


def _stop_interrupted(error: BaseException, *, is_terminated: bool) -> NoReturn:
    """End with what was noted on the way about what is kept."""
    message, code = (_TERMINATION, TERMINATED) if is_terminated else (_INTERRUPTION, INTERRUPTED)
    _stop(" ".join((message, *_notes(error))), code)


def _notes(error: BaseException | None) -> list[str]:
    """What the error, or one that it came from, was given to say."""
    while error is not None:
        if notes := getattr(error, "__notes__", None):
            return list(notes)
        error = error.__cause__ or error.__context__
    return []


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """An interrupt that falls into a destructor is lost there: send it once more, when that has ended."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def _stop(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    # Nothing of the error is shown behind the message.
    raise SystemExit(code) from None


def _is_interrupt(error: Exception) -> bool:
    """The data engine turns an interrupt into an error of its own."""
    named = type(error).__name__ == "InterruptException"
    return named or (isinstance(error, RuntimeError) and "interrupted" in str(error).lower())


def _of_the_machine(error: Exception) -> str | None:
    """What to do about memory, disk, files or the store of models; None for a defect."""
    # Libraries' errors by name: they need not be imported to say so.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return _NO_MEMORY
    if type(error).__name__ == "IOException":
        return _NO_FILE
    if type(error).__name__ == "MlflowException":
        return f"{_NO_STORE} ({getattr(error, 'error_code', 'no code')})"
    if isinstance(error, OSError) and error.errno:
        # Never the message: a library that raises it may write its own into it.
        place = "" if error.filename is None else f"{_as_named(Path(os.fsdecode(error.filename)))}: "
        return f"{place}{os.strerror(error.errno)}. Mend that and run the command again."
    return None


def _as_named(file: Path) -> Path:
    """The file or folder that was asked for, where the error names a place aside in which it is made."""
    for place, part in enumerate(file.parts):
        if made_for := _ASIDE.fullmatch(part):
            return Path(*file.parts[:place], made_for[1])
    return file


def _defect(error: Exception) -> str:
    places = "".join(
        f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}\n"
        for frame in traceback.extract_tb(error.__traceback__)
    )
    return (
        f"Internal error: {type(error).__module__}.{type(error).__name__}\n{places}"
        f"This is a defect of wardcast. Its message is held back, as it may quote a patient's record; "
        f"{DEBUG}=1 shows it."
    )
