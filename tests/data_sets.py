"""Minari data sets made on the spot."""

import minari
from minari.data_collector import EpisodeBuffer


def make_data_set(name, observation_space, action_space, *episodes):
    """Put one into the place where Minari looks; an episode is its observations, with the last, and its actions."""
    buffers = [
        EpisodeBuffer(
            observations=obs,
            actions=actions,
            rewards=[1.0] * len(actions),
            terminations=[False] * (len(actions) - 1) + [True],
            truncations=[False] * len(actions),
        )
        for obs, actions in episodes
    ]
    minari.create_dataset_from_buffers(
        name,
        buffers,
        observation_space=observation_space,
        action_space=action_space,
        algorithm_name="none",
        author="nobody",
        author_email="nobody@example.org",
        code_permalink="none",
        description="made by a test",
    )
