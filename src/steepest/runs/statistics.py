"""What several seeds, on one or several tasks, say together.

Scores are a list with an array [..., seeds] for each task. Tasks count the same, however many seeds each has.

**Reference** Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical Precipice*, 2021.
"""

from collections.abc import Callable, Sequence

import numpy as np

Scores = Sequence[np.ndarray]


def interquartile_mean(
    values: np.ndarray, axis: int = -1, weights: np.ndarray | None = None
) -> np.ndarray | np.floating:
    """The mean of what is left when the lowest and the highest quarter are dropped, along `axis`.

    A quarter of n is rounded down, so up to 3 values nothing is dropped.

    **Arguments**

    - `weights`: of the values along `axis`, where they do not count the same. The same share of the weight is dropped,
      if need be by a part of a value.

    >>> float(interquartile_mean(np.array([0.0, 10.0, 20.0, 500.0])))
    15.0
    """
    count = values.shape[axis]
    if weights is None:
        ordered = np.sort(values, axis=axis)
        return np.take(ordered, range(count // 4, count - count // 4), axis=axis).mean(axis=axis)
    values, dropped = np.moveaxis(values, axis, -1), count // 4 / count
    order = np.argsort(values, axis=-1)
    until = np.cumsum((weights / weights.sum())[order], axis=-1)
    kept = np.diff(np.clip(until, dropped, 1 - dropped), axis=-1, prepend=dropped)
    return (kept * np.take_along_axis(values, order, axis=-1)).sum(axis=-1) / (1 - 2 * dropped)


def pooled_interquartile_mean(scores: Scores) -> np.ndarray | np.floating:
    """The interquartile mean of all scores of all tasks, in which tasks count the same."""
    pooled = np.concatenate(list(scores), axis=-1)
    counts = [each.shape[-1] for each in scores]
    if len(set(counts)) == 1:
        return interquartile_mean(pooled)
    return interquartile_mean(pooled, weights=np.repeat(1 / np.array(counts), counts))


def median_score(scores: Scores) -> np.ndarray | np.floating:
    """The median over tasks of the mean over seeds; of a single task, the median over its seeds."""
    if len(scores) == 1:
        return np.median(scores[0], axis=-1)
    return np.median(np.stack([each.mean(axis=-1) for each in scores], axis=-1), axis=-1)


def mean_score(scores: Scores) -> np.ndarray | np.floating:
    """The mean over tasks of the mean over seeds."""
    return np.stack([each.mean(axis=-1) for each in scores], axis=-1).mean(axis=-1)


def optimality_gap(scores: Scores, target: float = 1.0) -> np.ndarray | np.floating:
    """By how much scores fall short of `target` on average; more than the target makes up for nothing. Less is better.

    >>> float(optimality_gap([np.array([0.5, 2.0]), np.array([1.0])]))
    0.125
    """
    return mean_score([np.maximum(target - each, 0.0) for each in scores])


def performance_profile(scores: Scores, thresholds: np.ndarray) -> np.ndarray:
    """The fraction of scores above each threshold [P], on average over tasks: [..., P]. Higher is better everywhere.

    >>> performance_profile([np.array([0.0, 1.0])], np.array([-1.0, 0.5, 1.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    above = [(each[..., None, :] > thresholds[:, None]).mean(axis=-1) for each in scores]
    return np.mean(above, axis=0)


def probability_of_improvement(scores: Scores, others: Scores) -> np.ndarray | np.floating:
    """The probability that a seed of the first scores more than one of the others, on average over tasks.

    Of equal scores each is the higher one half of the time.

    >>> float(probability_of_improvement([np.array([1.0, 3.0])], [np.array([1.0, 2.0])]))
    0.625
    """
    pairs = [(one[..., :, None], other[..., None, :]) for one, other in zip(scores, others, strict=True)]
    return np.mean([((one > other) + 0.5 * (one == other)).mean(axis=(-2, -1)) for one, other in pairs], axis=0)


def stratified_interval(
    statistic: Callable[..., np.ndarray | np.floating], *samples: Scores, resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A 95% percentile-bootstrap interval of a statistic of scores, in which seeds are drawn anew within each task.

    With few seeds it is narrower than the truth; with one for each task it is a point.

    **Arguments**

    - `statistic`: a function of as many `Scores` as there are `samples`, of arrays [..., seeds]; it returns [..., any].
    - `samples`: scores whose arrays are [seeds], each drawn independently.

    >>> low, high = stratified_interval(mean_score, [np.array([1.0, 3.0]), np.array([4.0])])
    >>> float(low), float(high)
    (2.5, 3.5)
    """
    generator = np.random.default_rng(seed)
    drawn = [[each[generator.integers(0, len(each), (resamples, len(each)))] for each in scores] for scores in samples]
    low, high = np.percentile(statistic(*drawn), [2.5, 97.5], axis=0)
    return np.asarray(low), np.asarray(high)


def bootstrap_interval(values: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A 95% percentile-bootstrap interval of the interquartile mean over the last axis.

    With few seeds it is narrower than the truth; with one it is a point.

    **Arguments**

    - `values`: [..., seeds].
    """
    generator = np.random.default_rng(seed)
    count = values.shape[-1]
    chosen = generator.integers(0, count, (resamples, count))
    means = interquartile_mean(values[..., chosen])
    low, high = np.percentile(means, [2.5, 97.5], axis=-1)
    return np.asarray(low), np.asarray(high)
