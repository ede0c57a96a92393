"""What is in launch/serve starts the server as it is: flags, routes, ports, keys and times agree with it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spanmix.cli.parser import parse
from spanmix.generate.asked import Asked
from spanmix.generate.opening import OpenModel
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.front.metrics import Metrics
from spanmix.serve.run import _DRAIN_SECONDS
from spanmix.serve.served_model import ServedModel
from spanmix.serve.settings import ServeSettings

ROOT = Path(__file__).parents[2]
SERVE = ROOT / "launch" / "serve"
PORT = 8012


@pytest.fixture(scope="module")
def model(make_decoder, tokenizer):
    engine = TorchEngine(make_decoder(1, 48, 3, 8, 64))
    return OpenModel("tiny", engine, tokenizer, Asked((tokenizer.control.eot,), None), None)


@pytest.fixture(scope="module")
def routes(model):
    """What the server answers to GET."""
    paths = make_app(model, ServeSettings()).openapi()["paths"]
    return {path for path, methods in paths.items() if "get" in methods}


def served(arguments):
    """The arguments of `spanmix serve` as its own parser reads them."""
    return parse(["serve", *arguments])


def instructions(name):
    """A Dockerfile's instructions as (word, rest)."""
    text = re.sub(r"\\\n", " ", re.sub("^#.*\n", "", (SERVE / name).read_text(), flags=re.M))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.vllm"])
def test_images_are_sound_and_run_without_privileges(name):
    lint = [Path(sys.executable).with_name("hadolint"), "--failure-threshold=warning", "--format=json", "-"]
    text = (SERVE / name).read_text()
    assert subprocess.run(lint, input=text, capture_output=True, text=True).returncode == 0
    worse = text.replace("USER 1000", "USER root")
    assert subprocess.run(lint, input=worse, capture_output=True, text=True).returncode == 1
    parts = instructions(name)
    words = [word for word, _ in parts]
    assert [rest for word, rest in parts if word == "USER"][-1] == "1000"
    assert len(words) - words[::-1].index("USER") <= words.index("ENTRYPOINT")
    copied = {
        one for word, rest in parts if word == "COPY" and "--from" not in rest for one in rest.split()[:-1]
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"src", "pyproject.toml"} <= copied <= let_in - {"launch"}  # where a key could lie about


def test_the_image_serves_and_asks_its_own_health(routes):
    parts = dict(instructions("Dockerfile"))
    command = json.loads(parts["ENTRYPOINT"]) + json.loads(parts["CMD"])
    assert command[:2] == ["spanmix", "serve"]
    args = served(command[2:])
    assert (args.model, args.host, args.port) == ("/model", "0.0.0.0", PORT) and parts["EXPOSE"] == str(PORT)
    [check] = json.loads(parts["HEALTHCHECK"].partition("CMD")[2])[2:]
    compile(check, "HEALTHCHECK", "exec")
    assert re.search(r"C\('127\.0\.0\.1', (\d+)", check)[1] == str(PORT)
    assert re.search(r"'GET', '([^']+)'", check)[1] in routes
    extras = re.search(r"\.\[([\w,]+)\]", (SERVE / "Dockerfile").read_text())[1].split(",")
    declared = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.M)
    assert "serve" in extras and set(extras) <= set(declared)


def unit():
    """The directives of the unit, by section."""
    sections = {}
    text = re.sub(r"\\\n\s*", "", (SERVE / "spanmix-serve.service").read_text())
    for line in text.splitlines():
        if line.startswith("["):
            section = sections[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            assert key not in section, f"{key} is there twice"
            section[key] = value
    return sections


def test_the_unit_serves_as_a_user_of_its_own_with_a_key_that_only_it_reads():
    sections = unit()
    assert set(sections) == {"Unit", "Service", "Install"}
    service = sections["Service"]
    command = shlex.split(service["ExecStart"])
    assert command[0].startswith("/") and command[0].endswith("/spanmix") and command[1] == "serve"
    args = served(command[2:])
    assert (args.host, args.port, args.log) == ("127.0.0.1", PORT, "-")
    name, source = service["LoadCredential"].split(":")
    assert str(args.api_keys) == f"${{CREDENTIALS_DIRECTORY}}/{name}" and source.startswith("/etc/")
    wanted = {"DynamicUser": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "NoNewPrivileges": "yes"}
    assert wanted.items() <= service.items()
    assert service["CapabilityBoundingSet"] == "" and service["SystemCallFilter"] == "@system-service"
    # PyTorch needs both.
    assert "MemoryDenyWriteExecute" not in service and "ProcSubset" not in service
    assert not args.model.startswith(("/home", "/root", "/tmp"))  # which the unit does not see


def test_the_unit_is_started_again_but_not_with_arguments_that_cannot_be_used():
    service = unit()["Service"]
    assert service["Restart"] == "on-failure" and service["RestartPreventExitStatus"] == "2"
    assert int(service["TimeoutStopSec"]) > _DRAIN_SECONDS


def test_compose_is_what_its_schema_says(tmp_path):
    fields = yaml.safe_load((SERVE / "compose.yaml").read_text())
    fields["services"]["server"]["restarts"] = "always"
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(fields))
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    check += ["--output-format", "json", str(SERVE / "compose.yaml"), str(tmp_path / "wrong.yaml")]
    found = json.loads(subprocess.run(check, capture_output=True, text=True).stdout)
    assert [Path(error["filename"]).name for error in found["errors"]] == ["wrong.yaml"]
    assert "restarts" in found["errors"][0]["message"] and found["parse_errors"] == []


def test_compose_serves_with_keys_and_is_scraped(routes):
    compose = yaml.safe_load((SERVE / "compose.yaml").read_text())
    server, prometheus = compose["services"]["server"], compose["services"]["prometheus"]
    args = served(server["command"])
    assert server["ports"] == [f"127.0.0.1:{PORT}:{args.port}"] and args.port == PORT
    assert args.host == "0.0.0.0" and str(args.api_keys) in {
        f"/run/secrets/{name}" for name in server["secrets"]
    }
    assert set(server["secrets"]) == set(compose["secrets"])
    assert [volume.split(":")[-2] for volume in server["volumes"]] == [args.model]
    build = server["build"]
    assert (SERVE / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).is_file()
    assert int(server["stop_grace_period"].removesuffix("s")) > _DRAIN_SECONDS and server["init"] is True
    for service in (server, prometheus):
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    mounted = [volume.split(":") for volume in prometheus["volumes"] if volume.startswith("./")]
    assert len(mounted) == 2 and all((SERVE / source).is_file() for source, *_ in mounted)
    config = yaml.safe_load((SERVE / "prometheus.yml").read_text())
    inside = {Path(target).name for _, target, _ in mounted}
    assert set(config["rule_files"]) < inside
    [job] = config["scrape_configs"]
    assert job["job_name"] == "spanmix" and job["static_configs"] == [{"targets": [f"server:{PORT}"]}]
    assert job.get("metrics_path", "/metrics") in routes


def test_alerts_ask_for_numbers_that_the_server_has(model):
    from prometheus_client.parser import text_string_to_metric_families
    from promql_parser import VectorSelector, parse, walk

    metrics = Metrics(ServedModel(model, ServeSettings()))
    metrics.add(
        {
            "route": "/",
            "status": 200,
            "seconds": 1,
            "first_token_seconds": 1,
            "prompt_tokens": 1,
            "completion_tokens": 1,
        }
    )
    labels = {"up": set()}
    for family in text_string_to_metric_families(metrics.written().decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    alerts = yaml.safe_load((SERVE / "alerts.yml").read_text())["groups"][0]["rules"]
    page = (ROOT / "docs" / "deploy.md").read_text()
    asked = [alert["expr"] for alert in alerts] + re.findall(r"```promql\n(.*?)```", page, re.S)
    seen = []
    for expression in asked:
        walk(parse(expression), lambda node: seen.append(node) if isinstance(node, VectorSelector) else None)
    assert len(seen) > len(alerts) > 5 and len(asked) > len(alerts)
    for one in seen:
        names = {matcher.name for matcher in one.matchers.matchers}
        assert one.name in labels and names <= labels[one.name] | {"job", "instance"}, one.name
    for alert in alerts:
        assert f"`{alert['alert']}`" in page and alert["labels"]["severity"] in ("page", "ticket")
