"""Pictures of compiled environments, drawn with Pillow: no display and no game library is needed."""
