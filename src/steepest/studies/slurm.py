"""An array of jobs for Slurm, each of which makes one run of a study."""

from __future__ import annotations

import pathlib
import shlex
import shutil
import sys
from collections.abc import Sequence

from steepest.core.errors import InputError
from steepest.core.files import write_atomically
from steepest.studies.planned import PlannedRun
from steepest.studies.study_directory import StudyDirectory

_SCRIPT = """#!/bin/bash
# One job for each run of a study; written by steepest sweep --slurm, and written anew by it for what is not complete.
# Add what your cluster wants to know (#SBATCH --partition, --account, --time, --mem, --gpus), then: sbatch {script}
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={processors}
#SBATCH --output={logs}/slurm-%A_%a.txt
#SBATCH --signal=B:TERM@120
# Two minutes before its time is over, a job saves and ends; submit the script again to go on with it.
runs=(
{runs}
)
cd {here}
exec {command} sweep {study} --only "${{runs[$SLURM_ARRAY_TASK_ID]}}" --quiet
"""


def write_script(study: StudyDirectory, runs: Sequence[PlannedRun]) -> pathlib.Path:
    """Write the script that makes these runs, into the directory of the study; returns its path.

    **Raises** `InputError` where all runs are complete.
    """
    if not runs:
        raise InputError(f"study {study.path}: every run is complete, so there is nothing to submit.")
    path = study.path.absolute()
    (path / "logs").mkdir(exist_ok=True)
    content = _SCRIPT.format(
        script=shlex.quote(str(study.script)),
        name=shlex.quote(study.path.absolute().name),
        last=len(runs) - 1,
        processors=max(run.processors for run in runs),
        logs=path / "logs",
        runs="\n".join(f"  {shlex.quote(run.name)}" for run in runs),
        here=shlex.quote(str(pathlib.Path.cwd())),
        command=_command(),
        study=shlex.quote(str(path)),
    )
    write_atomically(study.script, content.encode())
    return study.script


def _command() -> str:
    """What calls the command line from this environment."""
    beside = pathlib.Path(sys.executable).with_name("steepest")
    if beside.exists() or not (found := shutil.which("steepest")):
        return shlex.quote(str(beside)) if beside.exists() else f"{shlex.quote(sys.executable)} -m steepest"
    return shlex.quote(found)
