"""Policies that leave the library: as NumPy arrays, as ONNX, as StableHLO."""
