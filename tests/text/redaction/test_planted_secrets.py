"""Two hundred secrets of known kinds, planted in code of eight languages: found, replaced, and the code
still parses."""

import ast
import base64
import importlib
import json
import random
import string
import sys
import tomllib
from collections import Counter
from pathlib import Path

import yaml
from tree_sitter import Language, Parser

from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.text.redaction.step import RedactionStep
from spanmix.types import Document

NUM_PLANTED, SEED = 200, 8
ALNUM, HEX = string.ascii_letters + string.digits, "0123456789abcdef"
URLSAFE = ALNUM + "_-"

CODE = {
    "py": (
        "import os\n\nclass Client:\n    def connect(self, retries=3):\n        {name} = \"{value}\"\n"
        "        return self.open({name}, timeout=2.5)  # try {value} again\n\nPORT = 8080\n"
    ),
    "js": (
        "const http = require('http');\nfunction start(port) {{\n  const {name} = '{value}';\n"
        "  return http.get({{ port, headers: {{ x: {name} }} }});\n}}\nmodule.exports = start;\n"
    ),
    "ts": "export const config: Record<string, string> = {{\n  region: 'eu',\n  {name}: '{value}',\n}};\n",
    "go": "package main\n\nimport \"fmt\"\n\nfunc main() {{\n\t{name} := "
        "\"{value}\"\n\tfmt.Println({name})\n}}\n",
    "java": "class App {{\n  private static final String {name} = \"{value}\";\n  int port() {{ return "
        "80; }}\n}}\n",
    "json": '{{"region": "eu", "{name}": "{value}", "retries": [1, 2, 3]}}\n',
    "yaml": "service:\n  region: eu\n  {name}: {value}\n  retries: 3\n",
    "toml": "[service]\nregion = \"eu\"\n{name} = \"{value}\"\n",
}  # fmt: skip


def chars(rng, alphabet, count):
    return "".join(rng.choice(alphabet) for _ in range(count))


def password(rng):
    """As a manager makes them: letters of both cases and digits, some with signs that every syntax takes."""
    body = chars(rng, ALNUM, rng.randint(9, 20)) + rng.choice("0123456789") + rng.choice(string.ascii_letters)
    place = rng.randint(1, len(body) - 1)
    return body[:place] + rng.choice(["", "!", "@", "_", "-", "."]) + body[place:]


def jwt(rng):
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": chars(rng, ALNUM, 10), "iat": rng.randint(1, 10**9)})
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*coded, chars(rng, URLSAFE, 42) + "A"])


KINDS = {
    "AWS key id": lambda r: ("region_id", "AKIA" + chars(r, string.ascii_uppercase + string.digits, 16)),
    "AWS secret": lambda r: ("aws_secret_access_key", chars(r, ALNUM + "/+", 39) + "z"),
    "GitHub": lambda r: ("gh", "ghp_" + chars(r, ALNUM, 36)),
    "GitHub fine-grained": lambda r: ("gh", "github_pat_" + chars(r, ALNUM, 22) + "_" + chars(r, ALNUM, 59)),
    "GitLab": lambda r: ("lab", "glpat-" + chars(r, ALNUM, 20)),
    "Slack": lambda r: (
        "bot",
        f"xoxb-{chars(r, '123456789', 12)}-{chars(r, '123456789', 12)}-{chars(r, ALNUM, 24)}",
    ),
    "Stripe": lambda r: ("billing", "sk_live_" + chars(r, ALNUM, 24)),
    "Google": lambda r: ("maps", "AIza" + chars(r, URLSAFE, 34) + "k"),
    "SendGrid": lambda r: ("mailer", f"SG.{chars(r, URLSAFE, 21)}a.{chars(r, URLSAFE, 42)}b"),
    "Twilio": lambda r: ("phone", "SK" + chars(r, HEX, 32)),
    "npm": lambda r: ("registry", "npm_" + chars(r, ALNUM, 36)),
    "PyPI": lambda r: ("upload", "pypi-AgEIcHlwaS5vcmc" + chars(r, URLSAFE, 85) + "a"),
    "Hugging Face": lambda r: ("hub", "hf_" + chars(r, string.ascii_letters, 34)),
    "OpenAI": lambda r: ("llm", f"sk-{chars(r, ALNUM, 20)}T3BlbkFJ{chars(r, ALNUM, 20)}"),
    "JSON web token": lambda r: ("session", jwt(r)),
    "Telegram": lambda r: ("bot", chars(r, "123456789", 9) + ":" + chars(r, URLSAFE, 34) + "x"),
    "generic hex key": lambda r: ("api_key", chars(r, HEX, 32)),
    "generic token": lambda r: ("auth_token", chars(r, ALNUM, 40)),
    "client secret": lambda r: ("client_secret", chars(r, ALNUM, 28)),
    "password": lambda r: (r.choice(["db_password", "password", "smtp_passwd", "adminPwd"]), password(r)),
    "URL password": lambda r: ("endpoint", f"postgres://app:{chars(r, ALNUM, 14)}7x@db.corp.net:5432/main"),
}


def planted(seed=SEED, count=NUM_PLANTED):
    """Kind, language, text and the secret in it, of each planted file."""
    rng = random.Random(seed)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        name, value = KINDS[kind](rng)
        language = rng.choice(list(CODE))
        secret = value.partition("app:")[2].partition("@")[0] if kind == "URL password" else value
        written = f'"{value}"' if language == "yaml" and rng.random() < 0.5 else value
        yield kind, language, CODE[language].format(name=name, value=written), secret


GRAMMARS = {"js": "javascript", "ts": "typescript", "go": "go", "java": "java"}


def parses(language, text):
    if language == "py":
        ast.parse(text)
    elif language == "json":
        json.loads(text)
    elif language == "yaml":
        assert isinstance(yaml.safe_load(text)["service"], dict)
    elif language == "toml":
        tomllib.loads(text)
    else:
        module = importlib.import_module(f"tree_sitter_{GRAMMARS[language]}")
        make = module.language_typescript if language == "ts" else module.language
        assert not Parser(Language(make())).parse(text.encode()).root_node.has_error
    return True


def redact(text, path, **kwargs):
    rows = []
    step = RedactionStep(RedactionConfig(**kwargs))
    document = step(Document(text, "code", path), lambda kind, row: rows.append((kind, row)))
    return document.text, rows


def test_planted_secrets_are_found_and_the_code_still_parses():
    found, missed, languages = Counter(), [], Counter()
    for number, (kind, language, text, secret) in enumerate(planted()):
        parses(language, text)
        redacted, rows = redact(text, f"src/file{number}.{language}")
        if secret in redacted:
            missed.append((kind, language, text))
            continue
        found[kind] += 1
        languages[language] += 1
        assert parses(language, redacted), (kind, redacted)
        assert len(redacted) == len(text)
        assert rows and all(name == "redactions" and secret not in json.dumps(row) for name, row in rows)
    assert sum(found.values()) >= 0.95 * NUM_PLANTED, missed
    assert len(found) == len(KINDS) >= 12 and len(languages) == len(CODE)


def test_a_redacted_text_has_nothing_left_to_redact():
    changed = 0
    for number, (_, language, text, _) in enumerate(planted(seed=9)):
        redacted, rows = redact(text, f"file{number}.{language}")
        changed += bool(rows)
        assert redact(redacted, f"file{number}.{language}") == (redacted, [])
    assert changed >= 0.95 * NUM_PLANTED


def standard_library(count, seed=SEED):
    root = Path(ast.__file__).parent
    files = sorted(path for path in root.rglob("*.py") if "site-packages" not in path.parts)
    for path in random.Random(seed).sample(files, min(count, len(files))):
        try:
            yield path, path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue


def test_clean_files_are_left_alone_and_stay_programs():
    touched, emails, num_files = [], 0, 0
    for path, text in standard_library(300):
        num_files += 1
        redacted, rows = redact(text, str(path))
        kinds = {row["kind"] for _, row in rows}
        touched += [path] if kinds & {"key", "password"} else []
        emails += "email" in kinds
        if rows:
            try:
                ast.parse(text)
            except SyntaxError:
                continue  # made so, for tests of the compiler
            ast.parse(redacted)
    assert num_files >= 250, f"{sys.version}: {num_files} files"
    assert len(touched) <= 0.01 * num_files, touched
    assert 0 < emails < 0.25 * num_files  # real ones, of authors
