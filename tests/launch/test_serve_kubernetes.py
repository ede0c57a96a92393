"""The Kubernetes objects of launch/serve are what it takes, and agree with each other and the servers."""

import re
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from kubeflow_trainer_api.models import IoK8sApiCoreV1PodTemplateSpec as PodTemplate
from kubeflow_trainer_api.models import IoK8sApiCoreV1Service as Service
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spanmix.cli.parser import parse
from spanmix.generate.asked import Asked
from spanmix.generate.opening import OpenModel
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.run import _DRAIN_SECONDS
from spanmix.serve.settings import ServeSettings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "launch" / "serve" / "kubernetes"
NAME = "app.kubernetes.io/name"


class Strict(BaseModel):
    """A part of Kubernetes' API, with the fields that are used here."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    labels: dict[str, str]


class Selector(Strict):
    matchLabels: dict[str, str]


class RollingUpdate(Strict):
    maxSurge: int = Field(ge=0)
    maxUnavailable: int = Field(ge=0)


class Strategy(Strict):
    type: Literal["RollingUpdate"] = "RollingUpdate"
    rollingUpdate: RollingUpdate


class DeploymentSpec(Strict):
    replicas: int = Field(ge=1)
    strategy: Strategy
    selector: Selector
    template: dict[str, Any]


class Deployment(Strict):
    apiVersion: Literal["apps/v1"]
    kind: Literal["Deployment"]
    metadata: Metadata
    spec: DeploymentSpec


class BudgetSpec(Strict):
    maxUnavailable: int = Field(ge=1)
    selector: Selector


class Budget(Strict):
    apiVersion: Literal["policy/v1"]
    kind: Literal["PodDisruptionBudget"]
    metadata: Metadata
    spec: BudgetSpec


def documents(name):
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


def deployment(name):
    [fields] = documents(name)
    return Deployment.model_validate(fields)


def pod(name):
    return deployment(name).spec.template["spec"]


def container(name):
    [one] = pod(name)["containers"]
    return one


BOTH = pytest.mark.parametrize("name", ["server.yaml", "vllm.yaml"])


@BOTH
def test_a_deployment_is_one_for_kubernetes(name):
    fields = deployment(name).spec.template
    # The model passes over keys that it does not know, so a wrong one is lost on the way back.
    assert PodTemplate.from_dict(fields).to_dict() == fields
    probe = fields["spec"]["containers"][0]["livenessProbe"]
    probe["failureTreshold"] = probe.pop("failureThreshold")
    assert PodTemplate.from_dict(fields).to_dict() != fields
    [wrong] = documents(name)
    with pytest.raises(ValidationError, match="replica"):
        Deployment.model_validate(wrong | {"spec": wrong["spec"] | {"replica": 2}})


def test_the_service_and_the_budget_hold_the_pods_of_both():
    service, budget = documents("service.yaml")
    assert Service.from_dict(service).to_dict() == service
    wanted = Budget.model_validate(budget).spec.selector.matchLabels
    assert service["spec"]["selector"] == wanted == {NAME: "spanmix"}
    [port] = service["spec"]["ports"]
    own = []
    for name in ("server.yaml", "vllm.yaml"):
        spec = deployment(name).spec
        labels = spec.template["metadata"]["labels"]
        assert wanted.items() <= labels.items()
        assert spec.selector.matchLabels.items() <= labels.items()
        own.append(spec.selector.matchLabels)
        assert spec.replicas > budget["spec"]["maxUnavailable"]
        assert [one["name"] for one in container(name)["ports"]] == [port["targetPort"]]
    assert own[0] != own[1]  # else each would take the other's pods for its own


@BOTH
def test_probes_and_prometheus_ask_the_port_on_which_it_listens(name):
    one, [port] = container(name), [port["containerPort"] for port in container(name)["ports"]]
    arguments = one["args"]
    assert arguments[arguments.index("--port") + 1] == str(port)
    assert arguments[arguments.index("--host") + 1] == "0.0.0.0"
    notes = deployment(name).spec.template["metadata"]["annotations"]
    assert notes["prometheus.io/port"] == str(port) and notes["prometheus.io/path"] == "/metrics"
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert one[kind]["httpGet"]["port"] == "http"
    assert one["startupProbe"]["failureThreshold"] * one["startupProbe"]["periodSeconds"] >= 600


def test_the_probes_of_the_server_are_routes_that_need_no_key(make_decoder, tokenizer):
    engine = TorchEngine(make_decoder(1, 48, 3, 8, 64))
    model = OpenModel("tiny", engine, tokenizer, Asked((tokenizer.control.eot,), None), None)
    app = make_app(model, ServeSettings(api_keys=("secret",)))
    one = container("server.yaml")
    asked = {kind: one[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/health", "liveness": "/health", "readiness": "/ready"}
    from starlette.testclient import TestClient

    with TestClient(app) as client:
        for path in [*asked.values(), "/metrics"]:
            assert client.get(path).status_code == 200
        assert client.get("/v1/models").status_code == 401


@BOTH
def test_pods_end_after_their_answers(name):
    one = container(name)
    [command, seconds] = one["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod(name)["terminationGracePeriodSeconds"] > int(seconds) + _DRAIN_SECONDS


@BOTH
def test_pods_have_no_privileges_and_write_nowhere_but_where_they_may(name):
    spec, one = pod(name), container(name)
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 1000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["name"]: mount for mount in one["volumeMounts"]}
    assert set(volumes) == set(mounts)
    writable = {name for name, mount in mounts.items() if not mount.get("readOnly")}
    assert writable == {name for name, volume in volumes.items() if "emptyDir" in volume} != set()
    resources = one["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"]
    text = (KUBERNETES / name).read_text()
    assert not re.search(r"(?m)^kind: Secret|stringData:", text)  # a key is never in a file of the repository


def test_both_take_their_key_from_the_same_secret():
    [create] = re.findall(
        r"create secret generic (\S+) --from-literal=(\w+)=", (KUBERNETES / "service.yaml").read_text()
    )
    secret, key = create
    [volume] = [one for one in pod("server.yaml")["volumes"] if "secret" in one]
    [mount] = [one for one in container("server.yaml")["volumeMounts"] if one["name"] == volume["name"]]
    args = parse(["serve", *container("server.yaml")["args"]])
    assert volume["secret"]["secretName"] == secret and str(args.api_keys) == f"{mount['mountPath']}/{key}"
    environment = {one["name"]: one["valueFrom"] for one in container("vllm.yaml")["env"]}
    assert environment["VLLM_API_KEY"]["secretKeyRef"] == {"name": secret, "key": key}


def test_vllm_serves_the_same_model_under_the_same_name_as_its_page_says():
    args = parse(["serve", *container("server.yaml")["args"]])
    model, *flags = container("vllm.yaml")["args"]
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    assert model == args.model and given["--served-model-name"] == args.name
    page = (ROOT / "docs" / "vllm.md").read_text()
    assert f"--tokenizer-mode {given['--tokenizer-mode']} --served-model-name" in page
    image = (ROOT / "launch" / "serve" / "Dockerfile.vllm").read_text()
    version = re.search(r"vllm-openai:v([\d.]+)\n", image)[1]
    assert f"vLLM {version}" in page
    claims = [
        one["persistentVolumeClaim"]
        for name in ("server.yaml", "vllm.yaml")
        for one in pod(name)["volumes"][:1]
    ]
    assert claims[0] == claims[1]
