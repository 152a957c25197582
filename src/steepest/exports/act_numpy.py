"""The exported policy, with NumPy alone: Policy()(obs) is the action for an observation, or for a batch of them."""

import hashlib
import json
import pathlib

import numpy as np

ACTIVATIONS = {"none": np.asarray, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0),
               "silu": lambda x: x / (1 + np.exp(-x)), "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
               "gelu": lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))}  # fmt: skip


class Policy:
    def __init__(self):
        file = pathlib.Path(__file__).with_name("policy.npz")
        self.about = json.loads(file.with_name("policy.json").read_text())
        if hashlib.sha256(file.read_bytes()).hexdigest() != self.about["sha256"][file.name]:
            raise ValueError(f"{file} is not the file that was exported")
        self.arrays = dict(np.load(file, allow_pickle=False))

    def __call__(self, obs):
        net, arrays, space, seen = self.about["network"], self.arrays, self.about["action"], []
        mask = _parts(self.about["observation"], obs, seen)
        x = (np.float32(np.concatenate(seen, axis=-1)) - arrays["mean"]) / arrays["deviation"]
        x = np.clip(x, -arrays["limit"], arrays["limit"])
        for index, activation in enumerate(net["activations"]):
            x = ACTIVATIONS[activation](x @ arrays[f"weight{index}"] + arrays[f"bias{index}"])
        if space["kind"] == "Box":
            x = ACTIVATIONS["tanh" if net["tanh"] else "none"](x[..., : len(arrays["centre"])])
            x, real = arrays["centre"] + arrays["half_width"] * x, np.dtype(space["dtype"]).kind not in "iub"
            low, high, x = np.asarray(space["low"], float), np.asarray(space["high"], float), x if real else np.rint(x)
            x = np.where(x >= np.float32(high), high, np.where(x <= np.float32(low), low, np.clip(x, low, high)))
        else:
            parts = np.split(np.where(mask, x, -np.inf), net["splits"], axis=-1)
            x = np.stack([each.argmax(axis=-1) for each in parts], axis=-1) + np.asarray(space["first"])
        return x.astype(space["dtype"]).reshape(x.shape[:-1] + tuple(space["shape"]))


def _parts(space, value, seen):  # lays an observation flat into `seen`; returns what its mask allows
    if "parts" in space:
        return [_parts(part, value[key], seen) for key, part in space["parts"]][-1 if space["kind"] == "Masked" else 0]
    if space["kind"] == "Mask":
        return np.asarray(value)
    x = np.reshape(value, (*np.shape(value)[: np.ndim(value) - len(space["shape"])], int(np.prod(space["shape"]))))
    if space["kind"].endswith("Discrete"):
        x = np.concatenate([np.eye(n)[x[..., i] - space["first"][i]] for i, n in enumerate(space["choices"])], axis=-1)
    return seen.append(x) or True
