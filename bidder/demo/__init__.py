"""The daemon on the simulated exchange: in scaled time over real HTTP, and in virtual time."""
