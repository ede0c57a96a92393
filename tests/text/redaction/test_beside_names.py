"""Secrets are found beside a name that says so, in whatever way a language puts the two together."""

import random

import pytest

from spanmix.text.redaction import everywhere
from spanmix.text.redaction.everywhere import is_whole, places_of
from spanmix.text.redaction.secrets import find_secrets

FORMS = r"""
a.py password: str = "{}"
a.py password: Optional[str] = "{}"
a.ts const password: string = "{}";
a.py password = f"{}"
a.py password = b'{}'
a.py password = rb"{}"
a.py password = u"{}"
a.py password = \"\"\"{}\"\"\"
a.py PASSWORDS = ["{}"]
a.py password = (\n    "{}"\n)
a.go Password: "{}",
a.py os.getenv("DB_PASSWORD", "{}")
a.py os.environ.setdefault("DB_PASSWORD",\n    "{}")
a.java props.setProperty("password", "{}");
a.php define('DB_PASSWORD', '{}');
a.rb password "{}"
a.sql CREATE USER ann IDENTIFIED BY '{}';
a.cs "Server=db;User Id=sa;Password={};"
a.py "host=x password={} user=u"
a.py "redis://:{}@cache.corp.net/0"
a.py "https://{}@git.corp.net/x"
a.py "postgres://ann:{}/9@db.corp.net/x"
a.py "https://api.corp.net/v1?password={}"
a.py "https://api.corp.net/v1?api_key={}&u=1"
a.py "https://api.corp.net/v1?token={}&u=1"
a.xml <password>{}</password>
a.xml <add key="password" value="{}"/>
.netrc machine api.corp.net login ann password {}
a.py # password: {}
a.py # the password is {}
a.py #password={}
a.md Password: {}
a.json "password":\n  "{}"
a.ipynb "{{\"password\": \"{}\"}}"
a.yaml password: |\n  {}
a.yaml password: >-\n  {}
""".strip().splitlines()
LEFT = r"""
a.py password: Base64String1 = read(source2)
a.py os.getenv("DB_PASSWORD", "OAuth2Token1")
a.py os.getenv("DB_PASSWORD", "changeme1")
a.py login(password=new_password2, token=csrf_token_1)
a.py "password", "x86_64-linux-gnu"
a.py # password: sha256 or bcrypt2
a.txt passwd 1:4.13+dfsg1-1+deb12u1
a.md The password OAuth2Password1 is of RFC 6749
a.py if password==q8Zr2mPw9xK:
a.json "js-tokens": "4.0.0-rc.12"
a.xml <password>${{DB_PASSWORD_2}}</password>
a.py "https://example.com:8080/ann/q8Zr2mPw9xK@v2"
a.py "https://host/?password=%s&x=1" % q8Zr2mPw9xK
a.py csrf_token="q8Zr2mPw9xKv4Lt7Gb2", getenv("PASSWORD_FILE", "q8Zr2mPw9xK")
a.py httpx.URL("https://ann:a%20secret@corp.net")
""".strip().splitlines()


def written(form, value):
    file_name, _, text = form.partition(" ")
    return file_name, "first\n" + text.replace("\\n", "\n").replace('\\"\\"\\"', '"""').format(
        value
    ) + "\nlast\n"


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_found_alone(form):
    for value in ("q8Zr2mPw9xKv4Lt7", "Kd7Wz3nQ9vRt"):
        file_name, text = written(form, value)
        found = [text[one.start : one.end] for one in find_secrets(text, file_name)]
        assert found == [value + "/9" if "{}/9@" in form else value], text


@pytest.mark.parametrize("form", LEFT)
def test_names_words_and_placeholders_stay(form):
    file_name, text = written(form, "")
    assert find_secrets(text, file_name) == []


def test_each_value_is_found_everywhere_and_the_work_does_not_grow_with_their_number():
    class Values(set):
        looked_up = 0

        def __contains__(self, value):
            Values.looked_up += 1
            return super().__contains__(value)

    values = Values(f"q8Zr2mPw{number:04}-Kd" for number in range(2_000))
    text = "\n".join(f"login('{value}') x{value}" for value in values)
    assert {value for _, value in places_of(text, values)} == set(values)
    assert len(list(places_of(text, values))) == len(values)
    assert Values.looked_up <= 2 * text.count("\n") * 5


def test_values_around_one_word_are_looked_up_a_bounded_number_of_times(monkeypatch):
    monkeypatch.setattr(everywhere, "_MOST_SHAPES", 3)
    values = [f"q8Zr2mPw{'-' * number}!" for number in range(9)]
    found = {value for _, value in places_of(" ".join(values), set(values))}
    assert len(found) <= 3 and found


def test_what_one_pass_finds_is_what_a_search_for_each_value_finds():
    rng, met = random.Random(2), 0
    for _ in range(400):
        text = "".join(rng.choices("ab1-_ß. ", k=60))
        starts = [rng.randrange(50) for _ in range(3)]
        values = {text[start : start + rng.randint(4, 9)] for start in starts}
        values = {value for value in values if any(map(str.isalnum, value))}
        expected = {
            (place, value)
            for value in values
            for place in range(len(text))
            if text.startswith(value, place) and is_whole(text, place, place + len(value))
        }
        assert set(places_of(text, values)) == expected
        met += len(expected)
    assert met > 300
