"""The gateway's connections under atheris."""

from tests.wire.atheris_target import fuzz

if __name__ == "__main__":
    fuzz("neuronetz_twisted.edge", "tests.wire.channel_drive", "ChannelDrive")
