"""What act.py has in place of the end of act_onnx.py, where the policy is a program of StableHLO."""


def _load(content):
    from jax import export

    return export.deserialize(bytearray(content)).call
