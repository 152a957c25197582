"""Every trial of reliability, a few times. `make reliability` tries them as often as it should be."""

import numpy as np
import pytest

from reliability import run
from reliability.trial import Setting


@pytest.mark.parametrize("name", [name for name, trial in run.TRIALS.items() if trial.few])
def test_a_trial_finds_nothing_wrong(name, tmp_path):
    trial = run.TRIALS[name]
    seen = trial.run(Setting(trial.few, np.random.default_rng(0), tmp_path))
    if seen.skipped:
        pytest.skip(seen.skipped)
    assert seen.count >= trial.few
    assert not seen.faults
