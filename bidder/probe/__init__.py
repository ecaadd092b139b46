"""The only code that talks to workloads: resolves what the exchange names, and knocks there."""
