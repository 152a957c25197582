"""From environments to trajectories: compiled or on the host, the same `Trajectory`."""
