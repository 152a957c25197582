"""What families of algorithms share: methods of their hyper-parameters, never fields. No JAX here.

`segments`: of running episodes. `episodes`: whole ones. `replay`: a buffer of transitions. `perturbation`: moved
parameters.
"""
