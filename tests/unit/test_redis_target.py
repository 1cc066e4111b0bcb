import traceback

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.redis_target import RedisTarget, parse_redis_url


class ParseRedisUrlTests(SynchronousTestCase):
    def test_host_alone(self) -> None:
        """Port and database have Redis' defaults, and nobody logs in."""
        self.assertEqual(parse_redis_url("redis://redis"), RedisTarget(host="redis"))
        self.assertEqual(parse_redis_url("redis://redis").where, "redis:6379")

    def test_all_parts(self) -> None:
        """User and password are percent-decoded; rediss is TLS."""
        self.assertEqual(
            parse_redis_url("rediss://me:a%2Fb%40c@db.example:7000/3"),
            RedisTarget(
                host="db.example",
                port=7000,
                tls=True,
                username="me",
                password="a/b@c",
                database=3,
            ),
        )

    def test_password_without_user(self) -> None:
        """A password alone is that of Redis' default user."""
        target = parse_redis_url("redis://:secret@127.0.0.1:6379/0")
        self.assertEqual((target.username, target.password), (None, "secret"))

    def test_ipv6(self) -> None:
        """The brackets of an IPv6 address belong to the URL, not to the address."""
        self.assertEqual(parse_redis_url("redis://[::1]:7000").host, "::1")

    def test_unix(self) -> None:
        """A socket path is absolute; the database is an option."""
        self.assertEqual(
            parse_redis_url("unix://:secret@/run/a%20b/redis.sock?db=2"),
            RedisTarget(path="/run/a b/redis.sock", password="secret", database=2),
        )
        self.assertEqual(parse_redis_url("unix:///run/redis.sock").where, "/run/redis.sock")

    def test_password_is_not_shown(self) -> None:
        """Neither repr nor the place show the password."""
        target = parse_redis_url("redis://me:hunter2@redis:6379/0")
        self.assertNotIn("hunter2", repr(target) + str(target) + target.where)

    def test_refused(self) -> None:
        """What is no address of a Redis gets a sentence that does not repeat the password."""
        for url in (
            "http://:hunter2@redis:6379",
            "redis:hunter2",
            "redis://",
            "redis://:hunter2@",
            "redis://:hunter2@redis:0",
            "redis://:hunter2@redis:65536",
            "redis://:hunter2@redis:port",
            "redis://:hunter2/x@redis:6379",
            "redis://:hunter2#x@redis:6379",
            "redis://:hunter2\u2100@redis:6379",
            "redis://:hunter2@[::1",
            "redis://:hunter2@a..b",
            "redis://:hunter2@a_b",
            f"redis://:hunter2@{'x' * 64}",
            "redis://:hunter2@redis/x",
            "redis://:hunter2@redis/-1",
            "redis://:hunter2@redis/10000",
            "redis://:hunter2@redis/\u0663",
            "redis://:hunter2@redis/0?ssl_cert_reqs=none",
            "redis://user@redis",
            "redis://:hunter2@red is",
            "redis://:hunter2@redis\n",
            "unix://:hunter2@",
            "unix://run/redis.sock",
            "unix://:hunter2@/run/redis.sock?db=x",
            "unix://:hunter2@/run/redis.sock?password=hunter2",
        ):
            error = self.assertRaises(ValueError, parse_redis_url, url)
            self.assertTrue(str(error), url)
            # As a log would show it, with the errors that led to it.
            self.assertNotIn("hunter2", "".join(traceback.format_exception(error)))

    @given(st.text(max_size=40), st.sampled_from(["redis://", "unix://", "rediss://:", ""]))
    def test_any_text(self, text: str, start: str) -> None:
        """Any text is a target or a ValueError."""
        try:
            target = parse_redis_url(start + text)
        except ValueError:
            return
        self.assertTrue(target.where)
