"""The model hosts: what they have, which one to ask, and how their answers arrive."""
