"""Published fakes: what the tests of this project, and of those who build on it, run on."""
