"""Run the commands the pages show and write what they print to ``docs/outputs``: ``python docs/make_outputs.py``.

Run it after a change of what the commands print, and read the difference before it is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "outputs"
WIDTH = 92
EXAMPLES = HERE / "examples"
TORCHRUN = f"{sys.executable} -m torch.distributed.run --standalone"
# Name of the file, the command as a page shows it, and where it differs the command as it is run here.
RUN = {
    "cancer_csv": ("python cancer_csv.py", f"{sys.executable} {EXAMPLES / 'cancer_csv.py'}"),
    "fit": ("isthmus fit cancer.csv --drop target --out cancer-model", ""),
    "encode": ("isthmus encode cancer-model cancer.csv --out codes.csv", ""),
    "codes_csv": ("", "head -n 3 codes.csv"),
    "score": ("isthmus score cancer-model cancer.csv --out scores.csv", ""),
    "report": ("isthmus report cancer-model cancer.csv --out report.html", ""),
    "info": ("isthmus info cancer-model", ""),
    "files": ("ls cancer-model", "ls -1 cancer-model"),
    "card": ("", "cat cancer-model/README.md"),
    "variational": (
        "isthmus fit cancer.csv --drop target --family variational --latent 4 --out cancer-vae",
        "isthmus fit cancer.csv --drop target --family variational --latent 4 --save-config settings.toml --out cancer-vae",
    ),
    "settings_toml": ("", "cat settings.toml"),
    "sample": ("isthmus sample cancer-vae -n 5 --out new.csv", ""),
    "pipeline": ("python pipeline.py", f"{sys.executable} {EXAMPLES / 'pipeline.py'}"),
    "one_process": ("python two_processes.py", f"{sys.executable} {EXAMPLES / 'two_processes.py'}"),
    "two_processes": (
        "torchrun --nproc-per-node 2 two_processes.py",
        f"{TORCHRUN} --nproc-per-node 2 {EXAMPLES / 'two_processes.py'}",
    ),
    "refused_width": (
        "isthmus score cancer-model narrow.csv",
        "cut -d, -f2-30 cancer.csv > narrow.csv; isthmus score cancer-model narrow.csv",
    ),
    "refused_flag": ("isthmus fit cancer.csv --beta 2", ""),
    "demo": ("isthmus demo", ""),
}


def main(names: list[str]) -> None:
    """Run all commands in order in an empty folder; write the outputs of the named ones, or of all."""
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(Path(folder))
        work = Path(folder, "work")
        work.mkdir()
        for name, (shown, run) in RUN.items():
            if names and name == "demo" and name not in names:
                continue
            done = subprocess.run(run or shown, shell=True, cwd=work, env=environment, capture_output=True, text=True, check=False)
            if done.returncode and not name.startswith("refused"):
                raise SystemExit(f"{run or shown} failed:\n{done.stdout}\n{done.stderr}")
            text = _tidy(done.stdout + _own(done.stderr), work)
            if text.strip() and (not names or name in names):
                (OUT / f"{name}.txt").write_text(f"$ {shown}\n{text}" if shown else text)
                print(f"{name}: {len(text.splitlines())} lines")


def _environment(folder: Path) -> dict[str, str]:
    launcher = folder / "bin" / "isthmus"
    launcher.parent.mkdir()
    launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -m isthmus "$@"\n')
    launcher.chmod(0o755)
    told = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    return {**os.environ, **told, "PATH": f"{launcher.parent}:{os.environ['PATH']}"}


def _own(stderr: str) -> str:
    """Keep the error messages of isthmus, leave the launcher's chatter."""
    return "\n".join(textwrap.fill(line, WIDTH) for line in stderr.splitlines() if line.startswith("error:"))


def _tidy(text: str, work: Path) -> str:
    text = text.replace(f"{os.path.realpath(work)}/", "").replace(f"{work}/", "")
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    main(sys.argv[1:])
