"""What Ollama's request types take of a body."""

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from mock_ollama.apitypes import (
    CHAT_REQUEST,
    EMBED_REQUEST,
    EMBEDDING_REQUEST,
    GENERATE_REQUEST,
    SHOW_REQUEST,
    decode_body,
)
from mock_ollama.gokinds import Struct
from mock_ollama.goscan import GoRefused

FIELDS = {
    CHAT_REQUEST: "model messages stream format keep_alive tools options think truncate shift "
    "_debug_render_only logprobs top_logprobs",
    GENERATE_REQUEST: "model prompt suffix system template context stream raw format keep_alive "
    "images options think truncate shift _debug_render_only logprobs top_logprobs",
    EMBED_REQUEST: "model input keep_alive truncate dimensions options",
    EMBEDDING_REQUEST: "model prompt keep_alive options",
    SHOW_REQUEST: "model system template verbose options name",
}
MISMATCH = "json: cannot unmarshal {} into Go struct field ChatRequest.{} of type {}"


def chat(body: str | bytes) -> Any:
    """Decode the body of a chat."""
    return decode_body(body.encode() if isinstance(body, str) else body, CHAT_REQUEST)


class FieldTests(SynchronousTestCase):
    def refused(self, body: str, kind: Struct = CHAT_REQUEST) -> str:
        """Decode a body that is refused, and give the words."""
        return str(self.assertRaises(GoRefused, decode_body, body.encode(), kind))

    def test_all_fields(self) -> None:
        """Every field of every request type is known, and no other."""
        for kind, names in FIELDS.items():
            with self.subTest(kind=kind.title):
                self.assertEqual(set(kind.fields), set(names.split()))

    def test_as_sent(self) -> None:
        """A body of known fields is decoded into itself."""
        for kind, body in (
            (
                CHAT_REQUEST,
                (
                    b'{"model":"m","messages":[{"role":"assistant","content":"c","thinking":"t","images":'
                    b'["YWJj"],"tool_calls":[{"id":"i","function":{"index":1,"name":"f","arguments":{"a":'
                    b'[1.5,null]}}}],"tool_name":"n","tool_call_id":"i"}],"format":{"type":"object"},'
                    b'"keep_alive":"5m","tools":[{"type":"function","items":1,"function":{"name":"f",'
                    b'"description":"d","parameters":{"type":"object","$defs":{},"items":[],"required":["p"],'
                    b'"properties":{"p":{"anyOf":[{"type":["string","null"]}],"type":"string","items":{},'
                    b'"description":"d","enum":["a",null],"properties":{},"required":[]}}}}}],"options":{"x":'
                    b'{"y":[true]}},"think":"low","truncate":false,"shift":true,"_debug_render_only":true,'
                    b'"logprobs":true,"top_logprobs":-3,"stream":false}'
                ),
            ),
            (
                GENERATE_REQUEST,
                (
                    b'{"model":"m","prompt":"p","suffix":"s","system":"y","template":"t","context":[1,2],'
                    b'"raw":true,"images":[""],"format":"json","think":false,"keep_alive":-1}'
                ),
            ),
            (EMBED_REQUEST, b'{"input":["a",["b"],1],"truncate":true,"dimensions":3}'),
            (EMBEDDING_REQUEST, b'{"prompt":"p","options":{}}'),
            (SHOW_REQUEST, b'{"name":"n","model":"m","system":"","template":"","verbose":true}'),
        ):
            with self.subTest(kind=kind.title):
                self.assertEqual(decode_body(body, kind), orjson.loads(body))

    def test_folded_keys(self) -> None:
        """Keys are matched without case, as Go folds it, and the last one wins."""
        body = '{"model":"a","MODEL":"b","\u017ftream":true,"thin\u212a":true,"\u017fHIFT":false}'
        expected = {"model": "b", "stream": True, "think": True, "shift": False}
        self.assertEqual(chat(body), expected)
        self.assertEqual(chat('{"mod\u0435l":"x","m\u00d6del":"x"," model":"x"}'), {})

    def test_null(self) -> None:
        """Null unsets what can be nil, and leaves alone what cannot."""
        self.assertEqual(chat("null"), {})
        self.assertEqual(
            chat('{"model":"a","model":null,"logprobs":true,"logprobs":null}'),
            {"model": "a", "logprobs": True},
        )
        nils = (
            ("stream", "true"),
            ("think", "true"),
            ("keep_alive", "1"),
            ("options", "{}"),
            ("tools", "[]"),
        )
        for name, value in (*nils, ("messages", "[]"), ("format", '"json"')):
            with self.subTest(name=name):
                self.assertEqual(chat(f'{{"{name}":{value},"{name}":null}}'), {})

    def test_merged_options(self) -> None:
        """Two option objects are one map; null in between empties it."""
        self.assertEqual(
            chat('{"options":{"a":1,"b":{"x":1}},"OPTIONS":{"b":{"y":2},"B":3}}'),
            {"options": {"a": 1, "b": {"y": 2}, "B": 3}},
        )
        self.assertEqual(
            chat('{"options":{"a":1},"options":null,"options":{"b":2}}'), {"options": {"b": 2}}
        )

    def test_repeated_slices(self) -> None:
        """Elements of a repeated list are decoded over the old ones, but for messages."""
        tools = (
            '{"tools":[{"type":"t","function":{"name":"a"}},{"type":"u"}],"tools":[{"function":{}}]'
        )
        first = {"type": "t", "function": {"name": "a"}}
        self.assertEqual(chat(tools + "}"), {"tools": [first]})
        again = chat(tools + ',"tools":[{},{}]}')
        self.assertEqual(again, {"tools": [first, {"type": "u"}]})
        self.assertEqual(chat(tools + ',"tools":[],"tools":[{}]}'), {"tools": [{}]})
        messages = '{"messages":[{"role":"user","content":"a"}],"messages":[{"content":"b"}]}'
        self.assertEqual(chat(messages), {"messages": [{"content": "b"}]})

    def test_zero_elements(self) -> None:
        """A null element of a list is the zero value of its type."""
        self.assertEqual(
            chat('{"messages":[null,{"images":[null],"tool_calls":[null]}],"tools":[null]}'),
            {"messages": [{}, {"images": [None], "tool_calls": [{}]}], "tools": [{}]},
        )
        body = b'{"context":[null,1,null]}'
        self.assertEqual(decode_body(body, GENERATE_REQUEST), {"context": [0, 1, 0]})

    def test_roles(self) -> None:
        """Ollama writes roles in lower case."""
        self.assertEqual(
            chat('{"messages":[{"ROLE":"SYSTEM"}]}'), {"messages": [{"role": "system"}]}
        )

    def test_numbers(self) -> None:
        """Numbers of options are floats; whole ones are shown without a point."""
        given = '{"options":{"a":1.0,"b":1e2,"c":12345678901234567890,"d":-0,"e":0.1}}'
        options = chat(given)["options"]
        self.assertEqual(
            list(map(repr, options.values())), ["1", "100", "1.2345678901234567e+19", "-0.0", "0.1"]
        )

    def test_property_types(self) -> None:
        """A list of one type is written as the one, null as the empty one."""
        body = '{"tools":[{"function":{"parameters":{"properties":{"a":{"type":["x"]},'
        body += (
            '"b":{"type":null},"c":{"type":["x","y"],"minimum":3},"a":{}},"properties":null}}}]}'
        )
        (tool,) = chat(body.replace(',"properties":null', ""))["tools"]
        self.assertEqual(
            tool["function"]["parameters"]["properties"],
            {"a": {}, "b": {"type": ""}, "c": {"type": ["x", "y"]}},
        )
        (tool,) = chat(body)["tools"]
        self.assertEqual(tool["function"]["parameters"], {})

    def test_bytes(self) -> None:
        """Images are base64 with or without line ends, or numbers, and written anew."""
        body = '{"messages":[{"images":["YW\\r\\nJj",[97,98,99,null],null,""]}]}'
        self.assertEqual(chat(body)["messages"][0]["images"], ["YWJj", "YWJjAA==", None, ""])

    def test_mismatches(self) -> None:
        """A value of another type is refused in Go's words, with the way to it."""
        for body, value, path, kind in (
            ('{"model":7}', "number", "model", "string"),
            ('{"model":["x"],"stream":1}', "array", "model", "string"),
            ('{"stream":"no"}', "string", "stream", "bool"),
            ('{"top_logprobs":1.0}', "number 1.0", "top_logprobs", "int"),
            ('{"top_logprobs":1e2}', "number 1e2", "top_logprobs", "int"),
            (
                '{"top_logprobs":9223372036854775808}',
                "number 9223372036854775808",
                "top_logprobs",
                "int",
            ),
            ('{"messages":[{"images":[true]}]}', "bool", "messages.images", "api.ImageData"),
            ('{"top_logprobs":true}', "bool", "top_logprobs", "int"),
            ('{"messages":{}}', "object", "messages", "[]api.Message"),
            ('{"tools":"x"}', "string", "tools", "api.Tools"),
            ('{"options":[]}', "array", "options", "map[string]interface {}"),
            ('{"options":{"a":[1e999]}}', "number 1e999", "options", "float64"),
            ('{"messages":["x"]}', "string", "messages", "api.Alias"),
            ('{"messages":[{"content":1}]}', "number", "messages.content", "string"),
            ('{"messages":[{"images":"x"}]}', "string", "messages.images", "[]api.ImageData"),
            ('{"messages":[{"images":[1]}]}', "number", "messages.images", "api.ImageData"),
            ('{"messages":[{"images":[[256]]}]}', "number 256", "messages.images", "uint8"),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.refused(body), MISMATCH.format(value, path, kind))
        for body in (
            '{"tools":["x"]}',
            '{"tools":[{"function":[]}]}',
            '{"tools":[{"function":{"name":1}}]}',
        ):
            with self.subTest(body=body):
                self.assertIn("into Go struct field", self.refused(body))
        self.assertEqual(
            self.refused("[]", EMBED_REQUEST),
            "json: cannot unmarshal array into Go value of type api.EmbedRequest",
        )

    def test_own_words(self) -> None:
        """Types with decoders of their own refuse in words of their own."""
        levels = '"high", "medium", "low", "max", true, or false)'
        base64 = "illegal base64 data at input byte "
        calls = '{"messages":[{"tool_calls":[{"function":{"arguments":%s}}]}]}'
        types = '{"tools":[{"function":{"parameters":{"properties":{"p":{"type":%s}}}}}]}'
        for body, text in (
            ('{"think":"Low"}', f'invalid think value: "Low" (must be {levels}'),
            ('{"think":1}', f"think must be a boolean or string ({levels}"),
            ('{"keep_alive":"5"}', 'time: missing unit in duration "5"'),
            ('{"keep_alive":true}', "Unsupported type: 'bool'"),
            ('{"keep_alive":{}}', "Unsupported type: 'map[string]interface {}'"),
            ('{"messages":[{"images":["YW-j"]}]}', base64 + "2"),
            ('{"messages":[{"images":["YWJ"]}]}', base64 + "3"),
            ('{"messages":[{"images":["Y=Jj"]}]}', base64 + "1"),
            (calls % '"{}"', "Value looks like object, but can't find closing '}' symbol"),
            (calls % "[]", "Value looks like object, but can't find closing '}' symbol"),
            (
                types % "1",
                (
                    "json: cannot unmarshal number into Go struct field ToolFunctionParameters."
                    "tools.function.parameters.properties.type of type []string"
                ),
            ),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.refused(body), text)

    def test_no_arguments(self) -> None:
        """A tool call whose arguments are null has none."""
        body = '{"messages":[{"tool_calls":[{"function":{"arguments":null}}]}]}'
        (call,) = chat(body)["messages"][0]["tool_calls"]
        self.assertEqual(call, {"function": {"arguments": {}}})

    def test_depth(self) -> None:
        """Deep values are cut where they are shown, and refused where they would be decoded."""
        deep = "[" * 9_000 + "]" * 9_000
        self.assertEqual(chat(f'{{"nothing":{deep}}}'), {})
        self.assertIn("nested more deeply", str(chat(f'{{"options":{{"x":{deep}}}}}')))
        properties = '{"p":{"properties":' * 900 + "{}" + "}}" * 900
        body = '{"tools":[{"function":{"parameters":{"properties":' + properties + "}}}]}"
        self.assertIn("mock_ollama", self.refused(body))
