"""Where errors become one line that speaks the command line's language."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from isthmus.cli.flags import READING
from isthmus.errors import IsthmusError
from isthmus.tasks.config import Config

FAILED, INTERRUPTED = 2, 130
_NAMES = "|".join(
    sorted({*Config.help(), *READING, "way", "vivid", "boldness", "scale", "kinds", "density", "treatment"}, key=len, reverse=True)
)
_TWICE = re.compile(rf"\b(?:{_NAMES}|labels_key)(?:=.*?)? \(command line: (.*?)\)(?=[,.;]|$)")
_ASSIGNED = re.compile(rf"(?<![\w'\"-])(?<!\(s\) \()({_NAMES})=(?:'([^']*)'|\(([\d, ]+)\)|(\w[\w.]*))")
_FIRST = re.compile(rf"^({_NAMES})(?= must| takes| does not| \(| and )")
_NO_MEMORY = ("can't allocate memory", "out of memory", "Unable to allocate")


def flag(name: str) -> str:
    """Return the flag of a setting.

    Examples
    --------
    >>> flag("learning_rate")
    '--learning-rate'
    """
    return f"--{'scaling' if name == 'scale' else name.replace('_', '-')}"


def spoken(message: str) -> str:
    """Return the message of an error in one line, with flags where Python has arguments.

    Examples
    --------
    >>> spoken("learning_rate must be positive; or use scale='none'")
    '--learning-rate must be positive; or use --scaling none'
    >>> spoken("Leave it out with drop=['a'] (command line: --drop a)")
    'Leave it out with --drop a'
    """
    text = _TWICE.sub(r"\1", " ".join(message.split()))
    text = re.sub(r"\(command line: (.*?)\)(?=[,.;]|$)", r"(\1)", text)
    text = re.sub(r"one of \(('[^)]*')\)", lambda m: f"one of {m[1].replace(chr(39), '')}", text)
    text = _ASSIGNED.sub(lambda m: f"{flag(m[1])} {m[2] or (m[3] or '').replace(', ', 'x') or m[4]}", text)
    return _FIRST.sub(lambda m: flag(m[1]), text)


def tell(message: str) -> None:
    """Write an error to the standard error stream."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False).print(Text.assemble(("error:", "bold red"), " ", message), soft_wrap=True)


def guarded(command: Callable[[], object]) -> None:
    """Run a command: what a person can mend becomes one line and exit code 2.

    Raises
    ------
    SystemExit
        With 2 after an error, and with 130 after an interruption.
    """
    try:
        command()
    except IsthmusError as error:
        tell(spoken(str(error)))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        tell(f"{place}{error.strerror or error}. Check the place and that its disk has room")
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in _NO_MEMORY):
            raise
        tell("the memory is not enough. Use a smaller --batch, --latent, --hidden or --channels, or fewer rows")
    else:
        return
    sys.stderr.flush()
    raise SystemExit(FAILED)
