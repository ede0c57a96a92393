"""The step: what is written in a secret's place, what the audit row says, and what stays as it is."""

import ast
import json
import pickle
import random
import string
import tomllib
from urllib.parse import quote, unquote, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text.preparation.layout import join_repositories, lay_out
from spanmix.text.redaction.placeholders import Placeholders, parsable
from spanmix.text.redaction.plausible import is_plausible_key, is_plausible_password, is_stand_in
from spanmix.text.redaction.private_keys import private_keys
from spanmix.text.redaction.step import RedactionStep
from spanmix.types import Document

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
BODY = "\n".join("MIIEow" + "IBAAKCAQEAx7Bq9Zt3" * 3 + "abcd" for _ in range(4)) + "\nq9Zt3w=="
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----\n"


def redact(text, path="src/app.py", prompt_characters=0, **kwargs):
    rows = []
    step = RedactionStep(RedactionConfig(**kwargs))
    document = Document(text, "code", path, prompt_characters=prompt_characters)
    return step(document, lambda kind, row: rows.append(row)), rows


def test_the_audit_row_says_where_and_never_what():
    text = f"import os\nx = 1\ntoken = '{TOKEN}'  # by ann@bo.com\n"
    document, rows = redact(text, salt="of our own")
    assert document.text == f"import os\nx = 1\ntoken = '{parsable(TOKEN)}'  # by user1@example.com\n"
    first, second = rows
    assert first == {
        "path": "src/app.py", "repository": "", "kind": "key", "detector": "GitHub Token",
        "line": 3, "column": 10, "length": 40,
        "hash": first["hash"], "replacement": parsable(TOKEN),
    }  # fmt: skip
    assert (second["kind"], second["line"], second["replacement"]) == ("email", 3, "user1@example.com")
    assert TOKEN not in json.dumps(rows) and "ann@bo.com" not in json.dumps(rows)
    assert len(first["hash"]) == 16 and first["hash"] != redact(text, salt="another one")[1][0]["hash"]
    assert redact(text)[1][0]["hash"] == ""


def test_each_kind_can_be_turned_off():
    text = f"token = '{TOKEN}'\npassword = 'kV9!xq2LmZ'\nauthor = 'ann@bo.com'\nhost = '93.184.216.34'\n"
    for name, kind in (
        ("keys", "key"),
        ("passwords", "password"),
        ("emails", "email"),
        ("ip_addresses", "ip_address"),
    ):
        kinds = {row["kind"] for row in redact(text, **{name: False})[1]}
        assert kinds == {"key", "password", "email", "ip_address"} - {kind}
    document, rows = redact(text, keys=False, passwords=False, emails=False, ip_addresses=False)
    assert (document.text, rows) == (text, [])


def test_the_published_style():
    text = f"token = '{TOKEN}'\npassword = 'kV9!xq2LmZ'\nauthor = 'ann@bo.com'\nhost = '93.184.216.34'\n"
    redacted = redact(text, style="bigcode")[0].text
    assert "'<KEY>'" in redacted and "'<PASSWORD>'" in redacted and "'<EMAIL>'" in redacted
    assert any(one in redacted for one in ("172.16.", "192.168."))


def test_equal_addresses_stay_equal_and_others_stay_apart():
    text = "'a@bo.com' 'b@bo.com' 'A@bo.com' '93.184.216.34' '93.184.216.35' '93.184.216.34' '2a00:1450::7'"
    first, second, third, v4, v4_other, v4_again, v6 = ast.literal_eval(
        f"[{redact(text)[0].text.replace(' ', ',')}]"
    )
    assert first == third != second and v4 == v4_again != v4_other
    assert v4.startswith("10.") and v6.startswith("fd00:")
    assert redact(text, path="another.py")[0].text != redact(text)[0].text


def test_a_secret_is_replaced_wherever_it_stands_again():
    text = f"key = '{TOKEN}'\ndef use():\n    call('{TOKEN}')\n# x{TOKEN} is another\n"
    document, rows = redact(text)
    assert document.text.count(parsable(TOKEN) + "'") == 2 and f"x{TOKEN}" in document.text and len(rows) == 2


def test_a_prompt_keeps_its_length_in_characters():
    prompt, answer = "author: ann.author.with.a.long.name@bo.com\n", "mail bob@bo.com\n"
    document, _ = redact(prompt + answer, prompt_characters=len(prompt))
    assert document.text[: document.prompt_characters] == "author: user1@example.com\n"
    assert document.text[document.prompt_characters :] == "mail user2@example.com\n"


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        f'KEY = """{PEM}"""\n',
        "KEY = (\n" + "".join(f'    "{line}\\n"\n' for line in PEM.splitlines()) + ")\n",
        'KEY = "' + PEM.replace("\n", "\\n") + '"\n',
        PEM.partition("-----END")[0],
    ],
)
def test_private_keys_lose_their_body_alone(text):
    document, rows = redact(text)
    assert "BEGIN RSA PRIVATE KEY" in document.text and len(document.text) == len(text)
    assert "x7Bq9Zt3" not in document.text and "q9Zt3w" not in document.text.replace("\n", "")[-90:]
    assert len(rows) >= 4 and redact(document.text)[1] == []
    if text.startswith("KEY"):
        ast.parse(document.text)


def test_a_program_that_looks_for_private_keys_is_left_alone():
    text = (
        'if "-----BEGIN RSA PRIVATE KEY-----" in text and "-----END RSA PRIVATE KEY-----" in text:\n   '
        " load()\n"
    )
    assert redact(text)[1] == [] and list(private_keys(text)) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("password = 'password'\npassword = getpass()\npasswd = os.environ['DB_PASSWD1']\n", "a.py"),
        ("api_key = 'YOUR-API-KEY-123'\nsecret_key = '<insert key 1>'\ntoken = None\n", "a.py"),
        ("password: ${DB_PASSWORD1}\napi_key: {{ vault_key_1 }}\nsecret: changeme1\n", "a.yaml"),
        ('{"password": "Enter your password, 8 characters", "secret": "sha256"}', "a.json"),
        ("key = 'application/vnd.api+json'\nauth_token_url = 'https://bo.com/oauth2/token'\n", "a.py"),
        ("sha256 = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'\n", "a.py"),
        ("AWS = 'AKIAIOSFODNN7EXAMPLE'\n", "a.py"),
        ("http://user:password@host/ http://user:pass@host/ http://{user}:{pw1}@host/\n", "a.md"),
        ("class PasswordField2(Field):\n    password2 = CharField(label=_('Password2'))\n", "a.py"),
    ],
)
def test_placeholders_and_names_are_no_secrets(text, path):
    assert redact(text, path) == (Document(text, "code", path), [])


def test_configuration_files_need_no_quotes():
    secret = "kV9xq2LmZ4tR8wB1"
    for path, text, read in (
        ("a.yaml", f"db:\n  password: {secret} # old\n  auth_token: {secret * 2}\n", yaml.safe_load),
        ("a.toml", f'[db]\npassword = "{secret}"\n', tomllib.loads),
        (".env", f"export DB_PASSWORD={secret}\nAPI_KEY={secret * 2}\n", str),
        ("a.properties", f"db.password={secret}\n", str),
    ):
        document, rows = redact(text, path)
        assert rows and secret not in document.text, path
        assert read(document.text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_a_stand_in_keeps_length_and_signs_and_is_known_as_one(value):
    value = value.replace("%", "")
    written = parsable(value)
    assert len(written) == len(value) and parsable(written) == written
    assert all(a == b or (a.isalnum() and b in "xXaA1") for a, b in zip(value, written, strict=True))


def test_percent_escapes_stay_whole_and_the_address_is_taken_apart_as_before():
    rng = random.Random(4)
    alphabet = string.ascii_letters + string.digits + "-._~/@:?#[]!$&'()*+,;=%/@/@ äß字𝔸"
    num_escapes = num_found = 0
    for _ in range(300):
        secret = "".join(rng.choices(alphabet, k=rng.randint(8, 16))) + "7q"
        written = "".join(
            quote(one, safe="") if rng.random() < 0.7 or not one.isascii() else f"%{ord(one):02x}"
            for one in secret
        )
        text = f'url = "https://app:{written}@db.corp.net:5432/main?x=%2F1"\n'
        redacted = redact(text)[0].text
        before, after = (urlsplit(one[7:-2]) for one in (text, redacted))
        assert len(redacted) == len(text) and before._replace(netloc="") == after._replace(netloc="")
        assert (after.username, after.hostname, after.port) == ("app", "db.corp.net", 5432)
        hidden = unquote(after.password)
        assert len(hidden) == len(secret)
        assert all(a == b or a.isalnum() for a, b in zip(secret, hidden, strict=True))
        num_escapes += "%2F" in written or "%40" in written
        if redacted != text:
            num_found += 1
            assert parsable(written) in redacted
            assert not set(secret) & set(hidden) & set("bcdefghijklmnopqrstuvwyz")
            assert redact(redacted)[1] == []
    assert num_escapes > 100 and num_found > 250, (num_escapes, num_found)


def test_stand_ins_of_secrets_are_no_secrets_again():
    for value in (TOKEN, "8f14e45fceea167a5a36dedd4bea2543", "kV9!xq2LmZ", "A7" * 20, "1234567890123456"):
        written = parsable(value)
        assert is_stand_in(written) or not (is_plausible_key(written) or is_plausible_password(written)), (
            written
        )


def test_stand_ins_depend_on_order_and_file_and_not_on_the_value():
    one, two = Placeholders("parsable", "a.py"), Placeholders("parsable", "a.py")
    assert one.of("ip_address", "93.184.216.34") == two.of("ip_address", "51.15.20.7")
    assert len({one.of("ip_address", f"93.184.{n // 250}.{n % 250}") for n in range(2_000)}) == 2_000


@given(st.text(st.sampled_from("ab@.:/\\\"'= \n\r\t\ud800ß𝔸1AKIA-_{}"), max_size=200))
def test_odd_text_is_never_fatal(text):
    document, _ = redact(text)
    assert document.text == text or len(document.text) > 0


def test_the_step_is_built_anew_from_its_configuration():
    config = pickle.loads(pickle.dumps(RedactionConfig(salt="of our own")))
    assert config == RedactionConfig(salt="of our own")
    with pytest.raises(InputError, match=r"redaction.style is 'none'; use parsable or bigcode"):
        RedactionConfig(style="none")
    with pytest.raises(InputError, match=r"redaction.salt") as caught:
        RedactionConfig(salt="short")
    assert "'short'" not in str(caught.value)


def test_path_and_repository_are_redacted_as_the_text_is():
    rows = []
    document = Document(
        "mail('bob@bo.com', 'ann@bo.com')\n", "code", f"ann@bo.com/{TOKEN}/a.py", repository="ann@bo.com/x"
    )
    step = RedactionStep(RedactionConfig())
    redacted = step(document, lambda kind, row: rows.append(row))
    assert redacted.text == "mail('user1@example.com', 'user2@example.com')\n"
    assert redacted.path == f"user2@example.com/{parsable(TOKEN)}/a.py"
    assert redacted.repository == "user2@example.com/x"
    assert [row["line"] for row in rows] == [0, 0, 0, 1, 1]
    assert {row["path"] for row in rows} == {redacted.path}
    laid = lay_out(redacted, 7, LayoutConfig(path_share=1.0, repository_share=1.0), 1).document.text
    joined = [
        one.document.text
        for one in join_repositories([lay_out(redacted, 7, LayoutConfig(), 1)], LayoutConfig())
    ]
    for written in (laid, *joined, json.dumps(rows)):
        assert "bo.com" not in written and TOKEN not in written and redacted.path in written
    same, none = redact("x = 1\n", path="src/app.py")
    assert same.path == "src/app.py" and none == []


def test_an_address_keeps_how_its_at_sign_is_written():
    text = r"'ann@bo.com' '?u=ann%40bo.com' 'bob\x40bo.com' '&#64;' 'bob&#64;bo.com'"
    assert redact(text)[0].text == (
        r"'user1@example.com' '?u=user1%40example.com' 'user2\x40example.com' '&#64;' 'user2&#64;example.com'"
    )
    assert redact(redact(text)[0].text)[1] == []
