"""The parsers of variables, by their tables."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted import variables

KEY = bytes(range(224, 256))
HEX = KEY.hex()
BASE64 = b64encode(KEY).decode()
URL_BASE64 = urlsafe_b64encode(KEY).decode()

GOOD: tuple[tuple[Callable[[str], Any], str, object], ...] = (
    (variables.whole(1, 10), "10", 10),
    (variables.whole(0, 10), "00", 0),
    (variables.seconds(0.1, 10), "0.1", 0.1),
    (variables.seconds(0.1, 10), "10", 10.0),
    (variables.choice("INFO", "WARN"), "warn", "WARN"),
    (variables.flag, "True", True),
    (variables.flag, "false", False),
    (variables.own_host, "::", "::"),
    (variables.own_host, "localhost", "localhost"),
    (variables.server_endpoint, "tcp:80:interface=::1", "tcp:80:interface=::1"),
    (variables.server_endpoint, "unix:/run/x", "unix:/run/x"),
    (variables.server_endpoint, "ssl:443:privateKey=missing", "ssl:443:privateKey=missing"),
    (variables.server_endpoint, "systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    (variables.server_endpoint, "haproxy:tcp:80", "haproxy:tcp:80"),
    (variables.http_url, "http://ollama:11434/", "http://ollama:11434"),
    (variables.http_url, "https://[::1]:1", "https://[::1]:1"),
    (variables.postgresql_url, "embedded:", "embedded:"),
    (variables.postgresql_url, "postgres://u@h/d", "postgresql+psycopg://u@h/d"),
    (variables.postgresql_url, "postgresql://h/d", "postgresql+psycopg://h/d"),
    (
        variables.postgresql_url,
        "postgresql://u:p%40@[::1]:5432/d?sslmode=require",
        "postgresql+psycopg://u:p%40@[::1]:5432/d?sslmode=require",
    ),
    (variables.postgresql_url, "postgresql:///d?host=/run", "postgresql+psycopg:///d?host=/run"),
    (variables.redis_server_url, "rediss://h", "rediss://h"),
    (variables.redis_server_url, "unix:///run/r", "unix:///run/r"),
    (variables.redis_server_url, "embedded:", "embedded:"),
    (variables.proxies, " 10.0.0.1/8, ::1 ,my_caddy,", ("10.0.0.1/8", "::1", "my_caddy")),
    (variables.proxies, "", ()),
    (variables.origins, "", ()),
    (variables.origins, "*", ("*",)),
    (
        variables.origins,
        "HTTPS://App.Example:443, http://localhost:03000,,https://app.example",
        ("https://app.example", "http://localhost:3000"),
    ),
    (variables.origins, "http://app.example:80", ("http://app.example",)),
    (variables.origins, "https://app.example:80", ("https://app.example:80",)),
    (variables.origins, "http://[0:0::1]:3000", ("http://[::1]:3000",)),
    (variables.origins, "http://192.0.2.1", ("http://192.0.2.1",)),
    (variables.origins, "app://obsidian.md", ("app://obsidian.md",)),
    (variables.header_name, "X-Request-ID", "X-Request-ID"),
    (variables.header_value, "Bearer", "Bearer"),
    (variables.version, "0.17.1", (0, 17, 1)),
    (variables.absolute_path, "/var/lib", Path("/var/lib")),
    (variables.secret_keys, HEX, HEX),
    (variables.secret_keys, f"{BASE64}, {HEX}", f"{BASE64}, {HEX}"),
    (variables.keys_of, HEX.upper(), (KEY,)),
    (variables.keys_of, f"{BASE64}\n{URL_BASE64},{HEX}\n", (KEY, KEY, KEY)),
)

BAD: tuple[tuple[Callable[[str], Any], str], ...] = (
    *((variables.whole(1, 10), text) for text in ("0", "11", "-1", "1.0", "", "x", "1e1")),
    *((variables.whole(1, 10**30), text) for text in ("9" * 19, "1_0")),
    *((variables.seconds(0.1, 10), text) for text in ("0", "11", "-1", "inf", "nan", "1e1", ".5")),
    (variables.choice("INFO"), "LOUD"),
    *(
        (variables.http_url, text)
        for text in (
            "ollama:11434",
            "ftp://x",
            "http://",
            "http://x:0",
            "http://x:",
            "http://x:99999",
            "http://x/api",
            "http://x?y",
            "http://x#y",
            "http://u:p@x",
            "http://u:p",
            "http://a..b:1",
            f"http://{'x' * 64}",
            "http://a_b",
            "http://[::1",
        )
    ),
    *((variables.own_host, text) for text in ("", "a..b", "a b", "[::]", "0.0.0.0:80")),
    *((variables.server_endpoint, text) for text in ("", "foo:1", "80", ":80", "a=b")),
    *((variables.postgresql_url, text) for text in ("", "sqlite://x", "mysql://x", "embedded")),
    *(
        (variables.postgresql_url, text)
        for text in (
            "postgresql://u:p@h:notaport/d",
            "postgresql://u:p@h:0/d",
            "postgresql://u:p@h:65536/d",
            "postgresql://u:p@w@h/d",
            "postgresql://u:p@[::1/d",
        )
    ),
    *((variables.redis_server_url, text) for text in ("", "redis", "http://x", "embedded")),
    *((variables.redis_server_url, text) for text in ("redis://a..b", f"redis://{'x' * 64}")),
    *((variables.proxies, text) for text in ("a b", "10.0.0.1/33", "http://x", "-", "a..b")),
    *((variables.flag, text) for text in ("", "1", "yes", "tru")),
    *(
        (variables.origins, text)
        for text in (
            "null",
            "app.example",
            "*, https://app.example",
            "*,*",
            "https://*.app.example",
            "https://",
            "https://app.example/",
            "https://app.example/x",
            "https://app.example?x",
            "https://u@app.example",
            "https://app.example:",
            "https://app.example:0",
            "https://app.example:65536",
            "https://app.example:x",
            "https://a..b",
            "https://a b",
            "https://\u00e4.example",
            "https://[::1",
            "https://[::x]",
            "https://[:::]",
            "https://[192.0.2.1]",
            "https://::1",
            "1x://app.example",
        )
    ),
    *((variables.header_name, text) for text in ("", "a b", "a:", "a\r\nb", "x" * 65, "é")),
    *((variables.header_value, text) for text in ("a\r\nb", "é", "a\x00")),
    *((variables.version, text) for text in ("1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x")),
    *((variables.absolute_path, text) for text in ("", "var", "./x", "~/x")),
    *(
        (variables.secret_keys, text)
        for text in (
            "",
            " , ",
            HEX[:-2],
            HEX[:-1] + "x",
            BASE64[:-1],
            BASE64 + "=",
            "é",
            f"{HEX},x",
        )
    ),
)


class ParserTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        """Values as they go on."""
        for parse, text, expected in GOOD:
            with self.subTest(parse=parse, text=text):
                self.assertEqual(parse(text), expected)

    def test_refused(self) -> None:
        """Everything else is a `ValueError` whose words do not quote it."""
        for parse, text in BAD:
            with self.subTest(parse=parse, text=text), self.assertRaises(ValueError):
                parse(text)

    def test_secrets_are_not_quoted(self) -> None:
        """A URL that cannot be read may hold a password."""
        for parse in (variables.postgresql_url, variables.redis_server_url, variables.http_url):
            for scheme in ("x", "http", "redis", "postgresql"):
                for rest in ("u:canary@h:port", "[canary", "u:canary", "u:a@canary@h"):
                    try:
                        parse(f"{scheme}://{rest}")
                    except ValueError as error:
                        self.assertNotIn("canary", str(error))

    def test_keys_are_not_quoted(self) -> None:
        """Nor is a key that cannot be read."""
        for text in ("canary", "canary" * 20, f"{HEX},canary", "canary" + HEX[6:]):
            with self.assertRaises(ValueError) as caught:
                variables.secret_keys(text)
            self.assertNotIn("canary", str(caught.exception))
