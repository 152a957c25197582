"""A day with steepest, as a notebook: train, look at the policy, evaluate, plot, record, go on.

    python examples/a_day.py

Editors that know `# %%` show it as cells, and jupytext makes a notebook of it. What it writes goes into a new
directory, whose name it prints.
"""

# %%
import pathlib
import tempfile

import jax.numpy as jnp
import numpy as np

import steepest

place = pathlib.Path(tempfile.mkdtemp(prefix="steepest-"))
run = place / "first"

# %% Train. A checkpoint stays for every 10,000 steps, so that learning can be watched later.
result = steepest.train(
    "ppo", "CartPole-v1", total_steps=40_000, keep_every=10_000, run_dir=run, evaluation_episodes=20
)
assert result.evaluation is not None
print(f"mean return of 20 episodes: {result.evaluation['iqm']:.1f}")
print("KL of the last updates:", result.metrics["kl"][-3:])

# %% The policy: what it does, how sure it is, and what it expects, for one observation or many.
leaning = [0.0, 0.0, 0.1, 0.0]  # position, velocity, angle, angular velocity
print("action:", result.policy(leaning))

# %% Another day it comes out of the run directory.
policy = steepest.load(run)
print(policy)
chances = np.exp(policy.distribution(leaning).log_prob(jnp.arange(2)))
print(f"left {chances[0]:.2f}, right {chances[1]:.2f}; expected return {policy.value(leaning):.1f}")
print("actions of a batch:", policy(np.random.default_rng(0).normal(size=(5, 4))))

# %% Numbers and pictures.
evaluation = steepest.evaluate(run, episodes=20)
print("each seed:", [round(each["mean_return"], 1) for each in evaluation["seeds"]])
print("learning curve:", steepest.plot(run, out=place / "curve.png"))

# %% See it play: the trained policy, and how it came to be so. A notebook shows what `record` returns.
recording = steepest.record(run, episodes=1, out=place / "play.gif", max_episode_steps=200)
print(f"{recording.path}: returns {recording.returns}")
through = steepest.record(run, out=place / "training.gif", through_training=True, max_episode_steps=100)
for episode in through.episodes:
    print(f"after {episode.trained_steps:,} steps of training: {episode.length} steps")

# %% Go on with it, for longer. Its learning rate falls to 0, and begins to fall anew.
longer = steepest.resume(run, total_steps=50_000, restart_schedules=True)
print(f"{int(longer.metrics['steps'].max()):,} steps")

# %% What it does, as data to learn from: `steepest.train("behaviour_cloning", …, demonstrations=shown)`.
shown = steepest.demonstrate(run, episodes=5, out=place / "expert.npz")
print(f"{len(shown):,} transitions of {shown.episodes} episodes")
