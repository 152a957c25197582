"""Recording what policies do: what `steepest.record` and the command of that name both call."""

from __future__ import annotations

import base64
import dataclasses
import pathlib
from collections.abc import Sequence

from steepest.core.errors import EnvironmentFault, StorageFault
from steepest.core.interrupts import Stop, end_if_asked, interruptible
from steepest.envs.tasks import EnvironmentLike
from steepest.experiments.own import AlgorithmLike
from steepest.experiments.trained import TrainedPolicy, load_each
from steepest.video.captions import Captions
from steepest.video.films import AbstractFilm, check_film, film, video_installed
from steepest.video.playing import Moment, Options, moments, words
from steepest.video.recording_display import RecordingDisplay
from steepest.video.stage import AbstractStage, open_stage

EPISODES = 3
"""How many are recorded where nothing else is said; through training, of every checkpoint one."""
_HELD = 1.0
"""Seconds for which the end of an episode is shown."""
_STOPPING = "stopping; nothing of the recording is kept."


@dataclasses.dataclass(frozen=True)
class RecordedEpisode:
    """An episode that was recorded.

    - `trained_steps`: of training, of the policy that played it.
    - `episode_return`: undiscounted; `length`: in steps.
    - `ended`: `terminated`, at its `time limit`, or `cut` before either.
    """

    trained_steps: int
    episode_return: float
    length: int
    ended: str


@dataclasses.dataclass(frozen=True)
class Recording:
    """A film of a policy at play. A notebook shows it.

    - `path`: the file; `fps`: steps of the environment that it shows in a second.
    - `seed`: of the run, whose policy plays.
    """

    path: pathlib.Path
    env: str
    algorithm: str
    seed: int
    fps: float
    episodes: tuple[RecordedEpisode, ...]

    @property
    def returns(self) -> tuple[float, ...]:
        """The return of each episode."""
        return tuple(each.episode_return for each in self.episodes)

    def describe(self) -> dict[str, object]:
        """As JSON has it: what `steepest record --json` prints."""
        return dataclasses.asdict(self) | {
            "path": str(self.path),
            "episodes": [*map(dataclasses.asdict, self.episodes)],
        }

    def _repr_html_(self) -> str:
        content = base64.b64encode(self.path.read_bytes()).decode()
        if self.path.suffix.lower() == ".gif":
            return f'<img src="data:image/gif;base64,{content}" alt="{self.algorithm} on {self.env}">'
        return f'<video controls loop src="data:video/mp4;base64,{content}"></video>'


def record(
    run: str | pathlib.Path,
    *,
    episodes: int | None = None,
    out: str | pathlib.Path | None = None,
    seed: int | None = None,
    through_training: bool = False,
    stochastic: bool = False,
    episode_seed: int = 0,
    max_episode_steps: int | None = None,
    fps: float | None = None,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
    progress: bool = False,
) -> Recording:
    """Record whole episodes of the policy of a run, with its return so far in the corner.

    Compiled environments draw themselves; Gymnasium's are asked for pictures, and EnvPool's are played in Gymnasium's
    environment of the same id.

    **Arguments**

    - `run`: a run directory.
    - `episodes`: how many; 3 when left out, and 1 of every checkpoint with `through_training`.
    - `out`: a file that ends in .gif or .mp4; when left out, `play.mp4` in the run directory where the extra `video` is
      installed, else `play.gif`; `training.mp4` or `training.gif` with `through_training`.
    - `seed`: which of the run's seeds; the first when left out.
    - `through_training`: let all checkpoints play that are kept, one after the other, from the same start. A run that
      is trained with `keep_every` keeps more than two.
    - `stochastic`: draw actions as in training, instead of taking the best guess.
    - `episode_seed`: of the episodes; another one brings other episodes.
    - `max_episode_steps`: a time limit, where the environment's own is not shorter; 1,000 where there is neither.
    - `fps`: steps that are shown in a second; the environment's own when left out. A file shows fewer pictures than
      steps where they follow each other faster than it can show: 34 in a GIF, 60 in a video.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names. A function must take `render_mode`, or make such an environment.
    - `progress`: show how it goes.

    **Returns** a `Recording`: its `path`, and its `returns`.

    **Raises** `InputError` when it is no run, has no checkpoint, or something is missing that draws the environment or
    writes the file, with what to do; `StorageFault` where it cannot be written. Nothing half-written is left.

    **Example**

    >>> import steepest, tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     _ = steepest.train("a2c", "CartPole-v1", total_steps=100, evaluation_episodes=0, run_dir=place)
    ...     recording = record(place, episodes=1, out=f"{place}/play.gif", max_episode_steps=5)
    >>> recording.returns, recording.episodes[0].ended
    ((5.0,), 'cut')
    """
    given = Options.checked(episodes, episode_seed, max_episode_steps, fps, through_training, stochastic)
    path = default_path(pathlib.Path(run), given.through_training) if out is None else pathlib.Path(out)
    check_film(path)
    policies = list(load_each(run, seed, env, algorithm, all_kept=given.through_training))
    return _recorded(policies, path, given, progress)


def _recorded(policies: Sequence[TrainedPolicy], out: pathlib.Path, given: Options, progress: bool) -> Recording:
    last = policies[-1]
    config, stop = last.config, Stop(_STOPPING)
    stage = open_stage(last.task, given.episode_seed, action_bounds=config.action_bounds, env_kwargs=config.env_kwargs)
    each = given.episodes or (1 if given.through_training else EPISODES)
    fps = given.fps or stage.render_fps
    episodes: list[RecordedEpisode] = []
    try:
        with (
            interruptible(stop),
            RecordingDisplay(each * len(policies), show=progress) as display,
            film(out, fps) as made,
        ):
            shown = _Shown(made, fps, total=last.steps if given.through_training else None)
            for policy, moment in moments(stage, policies, given, each):
                if stop():
                    raise KeyboardInterrupt
                shown.add(stage, policy, moment)
                display.moment(moment)
                if moment.ended:
                    episodes.append(RecordedEpisode(moment.trained or 0, moment.earned, moment.steps, moment.ended))
    except StorageFault:
        if stop():  # what writes may have been told to stop, too
            raise KeyboardInterrupt from None
        raise
    finally:
        stage.close()
        end_if_asked(stop)
    return Recording(out, config.env, config.algorithm, last.seed, fps, tuple(episodes))


def default_path(run: pathlib.Path, through_training: bool) -> pathlib.Path:
    """Where a recording goes when nothing is said: into the run directory, as a video where that can be written."""
    return run / f"{'training' if through_training else 'play'}{'.mp4' if video_installed() else '.gif'}"


class _Shown:
    """The moments that are shown: of each episode the first, the last, and as many between as the film has room for."""

    def __init__(self, made: AbstractFilm, fps: float, *, total: int | None):
        self._film, self._fps, self._total, self._captions = made, fps, total, Captions()
        self._size: tuple[int, int] | None = None

    def add(self, stage: AbstractStage, policy: TrainedPolicy, moment: Moment) -> None:
        if moment.steps % self._film.stride and not moment.ended:
            return
        image = self._captions.on(stage.picture(), words(policy, moment, total=self._total))
        if self._size not in (None, image.size):
            raise EnvironmentFault(
                f"{policy.config.env}: a picture has {image.size[0]} × {image.size[1]} pixels, and the first had "
                f"{self._size[0]} × {self._size[1]}. Correct the environment."
            )
        self._size = image.size
        self._film.add(image, _HELD if moment.ended else self._film.stride / self._fps)
