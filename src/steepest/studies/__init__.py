"""Many runs as one: algorithms × environments × settings × seeds, and the search for hyper-parameters."""
