"""The exported policy: Policy()(obs) is the action for an observation, or for a batch of them; reset() forgets."""

import hashlib
import json
import pathlib

import numpy as np


class Policy:
    def __init__(self):
        self.about = json.loads(pathlib.Path(__file__).with_name("policy.json").read_text())
        content = pathlib.Path(__file__).with_name(self.about["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.about["sha256"][self.about["file"]]:
            raise ValueError(f"{self.about['file']} is not the file that was exported")
        self.carry, self.program = [], _load(content)

    def reset(self):
        self.carry = []

    def __call__(self, obs):
        about, space, obs = self.about, self.about["action"], np.asarray(obs)
        batch = obs if obs.ndim > len(about["observation"]["shape"]) else obs[None]
        if not self.carry or len(self.carry[0]) != len(batch):
            self.carry = [np.repeat(np.array([x["first"]], x["dtype"]), len(batch), axis=0) for x in about["carry"]]
        x, *self.carry = map(np.asarray, self.program(batch.astype(about["observation"]["dtype"]), *self.carry))
        if space["kind"] == "Box":  # in the precision of the environment
            low, high = (np.asarray(space[each], float) for each in ("low", "high"))
            x = np.where(x >= np.float32(high), high, np.where(x <= np.float32(low), low, np.clip(x, low, high)))
        return x.astype(space["dtype"]) if obs is batch else x.astype(space["dtype"])[0]


def _load(content):
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))
