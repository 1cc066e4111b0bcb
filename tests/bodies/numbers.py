"""Numbers: huge, tiny, signed zero, whole as floats, and where a length may be."""

from tests.bodies.entry import chat, completion, embed, message, openai, option, response

_CAP = 4096
_HUGE = "1" + "0" * 400

_SEEDS = tuple(
    option(f'"seed":{text}', sent={"options.seed": value})
    for text, value in (
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("1.0", 1),
        ("1e2", 100),
        ("1E2", 100),
        ("1e+2", 100),
        ("100e-2", 1),
        ("-1", -1),
        ("9007199254740993", 2**53 + 1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    )
)

_NO_SEEDS = tuple(
    option(f'"seed":{text}', 400)
    for text in (
        "1.5",
        "1e-2",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1e19",
        "1e400",
        "-1e400",
        _HUGE,
        "-" + _HUGE,
        '"1"',
        "true",
        "[1]",
    )
)

_LENGTHS = tuple(
    option(f'"num_predict":{text}', sent={"options.num_predict": value})
    for text, value in (("1", 1), ("2.0", 2), ("1e1", 10), ("4096", _CAP), ("null", _CAP))
)

_CAPPED = tuple(
    option(f'"num_predict":{text}', sent={"options.num_predict": _CAP}, ignored=("num_predict",))
    for text in (
        "0",
        "-0",
        "-1",
        "-2",
        "-3",
        "-1.0",
        "4097",
        "1e18",
        "9223372036854775807",
        "-9223372036854775808",
    )
)

_NO_LENGTHS = tuple(
    option(f'"num_predict":{text}', 400)
    for text in ("1.5", "9223372036854775808", "1e400", _HUGE, '"5"', "true", "[]", "{}")
)

_OF_OPENAI = (
    *(
        openai(f'"{name}":{text}', sent={"options.num_predict": value})
        for name in ("max_tokens", "max_completion_tokens")
        for text, value in (("7", 7), ("7.0", 7), ("null", _CAP), ("0", _CAP), ("-1", _CAP))
    ),
    *(
        openai(f'"{name}":{text}', 400)
        for name in ("max_tokens", "max_completion_tokens")
        for text in ("1e400", "1.5", '"7"', "true", "9223372036854775808")
    ),
    openai('"max_tokens":5,"max_completion_tokens":6', sent={"options.num_predict": 6}),
    openai('"max_tokens":-1,"max_completion_tokens":6', sent={"options.num_predict": 6}),
    openai('"max_tokens":99999', sent={"options.num_predict": _CAP}, ignored=("max_tokens",)),
    completion('"max_tokens":3', sent={"options.num_predict": 3}),
    completion('"max_tokens":-1', sent={"options.num_predict": _CAP}),
    completion('"max_tokens":1e400', 400),
    message('"max_tokens":3', sent={"options.num_predict": 3}),
    message('"max_tokens":99999', sent={"options.num_predict": _CAP}),
    message('"max_tokens":0', 400),
    message('"max_tokens":-1', 400),
    message('"max_tokens":"5"', 400),
    message('"max_tokens":1e400', 400),
    response('"max_output_tokens":3', sent={"options.num_predict": 3}),
    response('"max_output_tokens":99999', sent={"options.num_predict": _CAP}),
    response('"max_output_tokens":1e400', 400),
)

_FLOATS = (
    *(
        option(f'"temperature":{text}', sent={"options.temperature": value})
        for text, value in (
            ("-0.0", 0),
            ("0.1", 0.1),
            ("0.1000000000000000055511151231257827", 0.1),
            ("1e-400", 0),
            ("5e-324", 5e-324),
            ("1", 1),
            ("2.5e0", 2.5),
            ("1000000", 1e6),
        )
    ),
    *(
        option(f'"temperature":{text}', 400)
        for text in ("1000001", "-1e7", "1e400", "1e308", _HUGE, '"0.5"', "false", "[0.5]")
    ),
    *(openai(f'"temperature":{text}', 400) for text in ("1e400", '"1"', "true", "{}")),
    openai('"temperature":0', sent={"options.temperature": 0}),
    openai('"temperature":null', sent={"options.temperature": 1.0}),
)

_ELSEWHERE = (
    *(chat(f'"x":{text}', 400) for text in ("1e400", _HUGE)),
    chat('"x":18446744073709551616'),
    chat('"keep_alive":1e400', 400),
    chat('"keep_alive":9223372036854775808', ignored=("keep_alive",)),
    option('"num_ctx":1e19', ignored=("num_ctx",)),
    option('"num_ctx":1e400', 400),
    embed('"input":"a","dimensions":1e400', 400),
    embed('"input":"a","dimensions":64.0', sent={"dimensions": 64}),
    embed('"input":"a","dimensions":64.5', 400),
    embed('"input":"a","dimensions":9223372036854775808', 400),
    *(openai(f'"n":{text}') for text in ("1", "1.0", "null")),
    *(openai(f'"n":{text}', 400) for text in ("2", "1.5", '"1"', "1e400", "128")),
)

ENTRIES = (
    *_SEEDS,
    *_NO_SEEDS,
    *_LENGTHS,
    *_CAPPED,
    *_NO_LENGTHS,
    *_OF_OPENAI,
    *_FLOATS,
    *_ELSEWHERE,
)
