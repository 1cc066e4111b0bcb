"""Makes `twistd neuronetz` known."""

from twisted.application.service import ServiceMaker

neuronetz = ServiceMaker("neuronetz", "neuronetz_twisted.tap", "The door to Ollama", "neuronetz")
