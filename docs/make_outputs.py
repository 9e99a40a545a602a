"""Run the commands the pages show and write what they print to ``docs/outputs``: ``python docs/make_outputs.py``.

Run it after a change of what the commands print, and read the difference before it is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "outputs"
RUN = {
    "demo": "isthmus demo",
    "cancer_csv": f"{sys.executable} {HERE / 'examples' / 'cancer_csv.py'}",
    "fit": "isthmus fit cancer.csv --drop target --out cancer-model",
    "encode": "isthmus encode cancer-model cancer.csv --out codes.csv",
    "codes_csv": "head -n 3 codes.csv",
    "score": "isthmus score cancer-model cancer.csv --out scores.csv",
    "info": "isthmus info cancer-model",
    "files": "ls -1 cancer-model",
    "card": "cat cancer-model/README.md",
    "variational": "isthmus fit cancer.csv --drop target --family variational --latent 4 --save-config settings.toml --out cancer-vae",
    "settings_toml": "cat settings.toml",
    "sample": "isthmus sample cancer-vae -n 5 --out new.csv",
    "report": "isthmus report cancer-model cancer.csv --out report.html",
    "pipeline": f"{sys.executable} {HERE / 'examples' / 'pipeline.py'}",
    "one_process": f"{sys.executable} {HERE / 'examples' / 'two_processes.py'}",
    "two_processes": f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2 {HERE / 'examples' / 'two_processes.py'}",
    "refused_width": "cut -d, -f2-30 cancer.csv > narrow.csv; isthmus score cancer-model narrow.csv",
    "refused_flag": "isthmus fit cancer.csv --beta 2 --out other",
}


def main(names: list[str]) -> None:
    """Run all commands in order in an empty folder; write the outputs of the named ones, or of all."""
    environment = {**os.environ, "COLUMNS": "96", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "2"}
    with tempfile.TemporaryDirectory() as folder:
        launcher = Path(folder, "bin", "isthmus")
        launcher.parent.mkdir()
        launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -m isthmus "$@"\n')
        launcher.chmod(0o755)
        environment["PATH"] = f"{launcher.parent}:{environment['PATH']}"
        work = Path(folder, "work")
        work.mkdir()
        for name, command in RUN.items():
            done = subprocess.run(command, shell=True, cwd=work, env=environment, capture_output=True, text=True, check=False)
            text = _tidy(done.stdout + _own(done.stderr), work)
            if done.returncode and not name.startswith("refused"):
                raise SystemExit(f"{command} failed:\n{text}\n{done.stderr}")
            if not names or name in names:
                (OUT / f"{name}.txt").write_text(text)
                print(f"{name}: {len(text.splitlines())} lines")


def _own(stderr: str) -> str:
    """Keep the error messages of isthmus, leave the launcher's chatter."""
    return "".join(line for line in stderr.splitlines(keepends=True) if line.startswith("error:"))


def _tidy(text: str, work: Path) -> str:
    text = text.replace(f"{os.path.realpath(work)}/", "").replace(f"{work}/", "")
    return "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()).strip("\n") + "\n"


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    main(sys.argv[1:])
