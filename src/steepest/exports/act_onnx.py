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
        given = [(np.asarray(x).astype(space["dtype"]), space) for x, space in _parts(self.about["observation"], obs)]
        batch = [x if (many := x.ndim > len(space["shape"])) else x[None] for x, space in given]
        if not self.carry or len(self.carry[0]) != len(batch[0]):
            self.carry = [np.array([x["first"]] * len(batch[0]), x["dtype"]) for x in self.about["carry"]]
        found = iter(map(np.asarray, self.program(*batch, *self.carry)))
        action = _tree(self.about["action"], lambda space: _taken(next(found), space)[slice(None) if many else 0])
        self.carry = list(found)
        return action


def _parts(space, value):
    return [x for k, s in space["parts"] for x in _parts(s, value[k])] if "parts" in space else [(value, space)]


def _tree(space, make):
    made = {key: _tree(part, make) for key, part in space["parts"]} if "parts" in space else make(space)
    return tuple(made.values()) if space["kind"] == "Tuple" else made


def _taken(x, space):
    if space["kind"] == "Box":  # in the precision of the environment
        low, high = (np.asarray(space[each], float) for each in ("low", "high"))
        x = np.where(x >= np.float32(high), high, np.where(x <= np.float32(low), low, np.clip(x, low, high)))
    return x.astype(space["dtype"])


def _load(content):
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))
