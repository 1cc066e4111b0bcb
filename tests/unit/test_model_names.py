"""Canonical model names."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.model_names import canonical_name

# A loaded machine is slow; that is no failure.
UNHURRIED = settings(deadline=None)


class CanonicalNameTests(SynchronousTestCase):
    def assertNames(self, expected: str | None, *names: str) -> None:
        """All of the names are the expected one."""
        for name in names:
            self.assertEqual(canonical_name(name), expected, name)

    def test_defaults_are_filled_in_and_left_out(self) -> None:
        """Case, host, namespace and tag of one model all lead to the name that Ollama lists."""
        self.assertNames(
            "llama3.1:latest",
            "llama3.1",
            "LLAMA3.1",
            "llama3.1:LATEST",
            " llama3.1\n",
            "library/llama3.1",
            "Registry.Ollama.AI/Library/llama3.1:latest",
            "llama3.1:local",
            "llama3.1: LOCAL",
            "\u00a0llama3.1\u3000",
            "https://registry.ollama.ai/library/llama3.1",
            "any thing://registry.ollama.ai/library/llama3.1",
            "http:///library/llama3.1",
        )
        self.assertNames("llama3.1:8b", "registry.ollama.ai/library/llama3.1:8b", "llama3.1:8B")

    def test_namespaces_stay(self) -> None:
        """Another namespace is part of the name, its host only if it is not the default."""
        self.assertNames("ns/model:latest", "ns/model", "registry.ollama.ai/NS/model")

    def test_other_hosts_stay(self) -> None:
        """A model of another registry keeps host and namespace, the default one too."""
        self.assertNames("hf.co/org/model:q4_k_m", "hf.co/Org/Model:Q4_K_M")
        self.assertNames("hf.co/library/model:latest", "hf.co/library/model")
        self.assertNames("host:5000/ns/model:latest", "host:5000/ns/model")

    def test_cloud_models_have_no_name(self) -> None:
        """What would run in Ollama's cloud at the operator's expense is nobody's."""
        self.assertNames(
            None,
            "gpt-oss:cloud",
            "gpt-oss:120b-cloud",
            "GPT-OSS:120B-CLOUD",
            "ns/model:Cloud",
            "model:cloud:local",
            "model:local:cloud",
            "model:local:local",
        )

    def test_a_cloud_in_the_model_part_is_no_cloud(self) -> None:
        """Only the tag says where a model runs."""
        self.assertNames("word-cloud:latest", "word-cloud")

    def test_invalid_names(self) -> None:
        """What Ollama's parser refuses has no name, nor has a trick on paths or Unicode."""
        self.assertNames(
            None,
            "",
            " ",
            ":",
            "model:",
            ":tag",
            "/model",
            "ns/",
            "a/b/c/d",
            "ns//model",
            "n.s/model",
            "host:5000/model",
            "../../etc/passwd",
            "-model",
            "model:-tag",
            "model name",
            "model:a:b",
            "model@sha256:abc",
            "model:tag ://",
            "http://library/model",
            "a://b://host/ns/model",
            "://model",
            "\x1cmodel",
            "\ufeffmodel",
            "model:tag\n:local",
            "\u212aimi",
            "llama3.1\x00",
            "llama%33.1",
            "m" * 81,
            f"model:{'t' * 81}",
            f"{'n' * 81}/model",
            f"{'h' * 351}/ns/model",
        )

    def test_the_longest_parts_are_names(self) -> None:
        """Each part may be as long as Ollama lets it."""
        name = f"{'h' * 350}/{'n' * 80}/{'m' * 80}:{'t' * 80}"
        self.assertNames(name, name)

    @UNHURRIED
    @given(st.from_regex(r"(([a-z._:-]{1,9}/)?[a-zA-Z-]{1,9}/)?[a-zA-Z0-9._-]{1,9}(:\w{1,9})?"))
    def test_a_canonical_name_is_its_own(self, name: str) -> None:
        """Canonicalising twice changes nothing, so a listed name equals a requested one."""
        canonical = canonical_name(name)
        if canonical is not None:
            self.assertEqual(canonical_name(canonical), canonical)
            self.assertEqual(canonical_name(canonical.upper()), canonical)
