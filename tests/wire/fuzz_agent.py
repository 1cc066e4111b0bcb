"""The agent's connections to model hosts under atheris."""

from tests.wire.atheris_target import fuzz

if __name__ == "__main__":
    fuzz("neuronetz_twisted.upstream", "tests.wire.agent_drive", "AgentDrive")
