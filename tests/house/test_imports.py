"""Nothing heavy is imported before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "sklearn", "scipy", "numpy", "pandas", "polars", "pyarrow", "matplotlib", "PIL", "narwhals", "safetensors", "yaml")
SAY = f"import sys; sys.stderr.write(' '.join(name for name in {HEAVY} if name in sys.modules))"
CALL = "import sys; sys.argv = {arguments!r}\nfrom isthmus.cli import main\ntry:\n    main()\nexcept SystemExit: pass\n"


def heavy_after(code: str) -> list[str]:
    """Names of the heavy packages that a fresh interpreter holds after `code`."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{SAY}"], capture_output=True, text=True, check=True)
    return done.stderr.split()


def test_importing_isthmus_is_light() -> None:
    assert heavy_after("import isthmus") == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["encode", "--help"]], ids=" ".join)
def test_help_is_light(arguments) -> None:
    assert heavy_after(CALL.format(arguments=["isthmus", *arguments])) == []


def test_typer_and_rich_stay_out_of_the_library() -> None:
    code = "import isthmus, sys; isthmus.fit, isthmus.read, isthmus.Artifact; assert 'torch' in sys.modules"
    done = subprocess.run([sys.executable, "-c", f"{code}; sys.exit('typer' in sys.modules)"], check=False)
    assert done.returncode == 0


def test_the_check_sees_what_is_imported() -> None:
    assert heavy_after("import numpy") == ["numpy"]
