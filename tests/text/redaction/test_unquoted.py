"""Secrets are found where no quotes are needed: in shells, Dockerfiles, headers of requests and options."""

import random
import string
from collections import Counter

import pytest

from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.text.redaction.commands import command_options
from spanmix.text.redaction.needs import COMMAND, HEADER, NAMED_VALUE, VARIABLE, rules_for
from spanmix.text.redaction.presearch import Line
from spanmix.text.redaction.requests import request_headers
from spanmix.text.redaction.secrets import find_secrets
from spanmix.text.redaction.step import RedactionStep
from spanmix.text.redaction.variables import named_values, variables
from spanmix.types import Document

PASSWORD_FORMS = [
    "export DB_PASSWORD={}",
    "DB_PASSWORD={}",
    "PGPASSWORD={} psql -h db",
    "ENV DB_PASSWORD={}",
    "ENV DB_PASSWORD {}",
    "ARG root_password={}",
    "smtp_passwd={}  # of the mailer",
    "    - MYSQL_ROOT_PASSWORD={}",
    "docker run -e MYSQL_ROOT_PASSWORD={} mysql:8",
    'environment = ["DB_PASS={}"]',
    "curl -u admin:{}",
    'curl -s --user "ann:{}" https://api.corp.net',
    "mysql -p{}",
    "mysqldump -u root -p'{}' shop > shop.sql",
    "sshpass -p {} ssh ann@host",
    "docker login -u ann -p {} registry.corp.net",
    "redis-cli -h cache -a {} ping",
    "ldapsearch -D cn=ann -w {} -b dc=corp",
    "backup --db-password {} --full",
    "backup --password='{}'",
    'run(["backup", "--password", "{}"])',
    "- name: DB_PASSWORD\n  value: {}",
    '{{"name": "DB_PASSWORD", "value": "{}"}}',
    '"name": "DB_PASSWORD",\n"value": "{}"',
]
KEY_FORMS = [
    "ENV API_KEY {}",
    "export API_KEY={}",
    "SECRET_TOKEN={} ./run",
    "- name: SECRET_TOKEN\n  value: {}",
    "curl -H 'X-Api-Key: {}' https://api.corp.net",
    "PRIVATE-TOKEN: {}",
    'headers = {{"Authorization": "Bearer {}"}}',
    "Authorization: Bearer {}",
    "authorization: token {}",
    "deploy --token={}",
    "deploy --api-key {}",
]
FILES = ["run.sh", "Dockerfile", "README.md", "app.py", "deploy.yaml"]
LEFT = r"""
DB_PASSWORD=$1
PASSWORD=${X}
PASSWORD=$(cat /run/pw1)
PASSWORD=`cat /run/pw1`
password=changeme
DB_PASSWORD=<password>
DB_PASSWORD=postgres
PASSWORD_FILE=/run/secrets/db1
TOKEN_URL=https://auth.corp.net/oauth2/v1
SORT_KEY=q8Zr2mPw9xK
PASSWORD=getpass(prompt2)
PASSWORD==q8Zr2mPw9xK
ENV API_KEY your-key-here
ENV API_KEY ${API_KEY2}
ENV KEY_SERVER hkps://keys.openpgp.org:443
curl -u $USER:$PASS https://x.org
curl -u user:password https://x.org
curl -u ann https://x.org
mysql -p3306
mysql -p shop2data
mysql -p$MYSQL_PASSWORD1
mysql -p<password>
sshpass -p "$1" ssh ann@host
mkdir -p q8Zr2mPw9xK
backup --password <password>
backup --token $TOKEN
Authorization: Bearer <token>
Authorization: Bearer ${TOKEN_1234567890123}
Authorization: Bearer your-access-token-1234
Authorization: Basic dXNlcjpwYXNzd29yZA==
basic understanding2 of it
- name: SECRET_TOKEN\n  valueFrom: q8Zr2mPw9xK
- name: SECRET_TOKEN\n  value: $(SECRET_2x)
- name: LOG_LEVEL\n  value: q8Zr2mPw9xK
- name: SECRET_TOKEN\n- name: other\n  value: q8Zr2mPw9xK
"""


def values(count, seed=3):
    rng = random.Random(seed)
    for _ in range(count):
        letters = rng.choices(string.ascii_letters, k=7) + rng.choices(string.digits, k=4)
        rng.shuffle(letters)
        yield "q" + "".join(letters) + "Z"


@pytest.mark.parametrize("form", PASSWORD_FORMS + KEY_FORMS)
def test_a_value_is_found_alone_in_every_kind_of_file(form):
    kind = "password" if form in PASSWORD_FORMS else "key"
    for file_name, value in zip(FILES, values(len(FILES)), strict=True):
        text = "first\n" + form.format(value) + "\nlast\n"
        found = find_secrets(text, file_name)
        assert [text[one.start : one.end] for one in found] == [value], (file_name, text)
        assert found[0].kind == kind


def test_an_encoded_password_is_found_and_what_is_written_is_not_found_again():
    text = "curl -H 'Authorization: Basic YW5uOnE4WnIybVB3OXhL' x\n"
    (found,) = find_secrets(text, "a.sh")
    assert (text[found.start : found.end], found.kind) == ("YW5uOnE4WnIybVB3OXhL", "password")
    step, again = RedactionStep(RedactionConfig()), 0
    for form in [text.replace("{", "{{"), *PASSWORD_FORMS, *KEY_FORMS]:
        for value in values(5):
            redacted = step(Document(form.format(value), "code", "a.sh"), lambda kind, row: None).text
            assert value not in redacted and find_secrets(redacted, "a.sh") == []
            again += 1
    assert again == 5 * (1 + len(PASSWORD_FORMS) + len(KEY_FORMS))


@pytest.mark.parametrize("line", LEFT.strip().splitlines())
def test_placeholders_templates_and_other_things_stay(line):
    text = line.replace("\\n", "\n")
    for file_name in FILES[:4]:
        assert find_secrets(f"first\n{text}\nlast\n", file_name) == [], file_name


def test_a_long_value_is_replaced_wherever_it_stands_and_a_short_one_in_its_line():
    long, short = "q8Zr2mPw9xK4vB", "q8Zr2mPw9"
    text = f"export DB_PASSWORD={long}\nlogin('{long}')\nPGPASSWORD={short} psql {short}\nx = '{short}'\n"
    assert [text[one.start : one.end] for one in find_secrets(text, "a.sh")] == [long, long, short, short]


def test_whatever_these_rules_find_the_search_of_lines_finds():
    rules = {VARIABLE: variables, HEADER: request_headers, COMMAND: command_options}
    rng, met = random.Random(11), Counter()
    plain = string.ascii_letters + string.digits
    alphabets = (plain, plain + "!@#%*+-_.=:/~^?é")
    for _ in range(6_000):
        form = rng.choice(PASSWORD_FORMS + KEY_FORMS)
        line = form.format("".join(rng.choices(rng.choice(alphabets), k=rng.randint(6, 30))))
        if rng.random() < 0.2:
            line = line.swapcase()
        first = line.partition("\n")[0]
        for name, find in rules.items():
            if list(find(first)):
                met[name] += 1
                assert name in rules_for(first), first
        if list(named_values(line, Line(0, 0, first))):
            met[NAMED_VALUE] += 1
            assert NAMED_VALUE in rules_for(first), first
    assert len(met) == 4 and min(met.values()) >= 200, met


def test_many_names_in_one_line_take_no_long_time():
    for part in ("curl -u a ", "mysql -p ", "SECRET_", "--a-b-token ", 'name: "KEY" ', "bearer ", "A"):
        line = part * (3_900 // len(part))
        assert find_secrets(line + "\n" + line * 40, "a.sh") == []
