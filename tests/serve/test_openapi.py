"""What /openapi.json promises of errors and content types is what comes."""

import httpx
import pytest

from spanmix.serve.front import documented

STREAMED = {
    "/v1/completions": {"stream": True, "max_tokens": 2},
    "/v1/fim/completions": {"stream": True, "max_tokens": 2, "prompt": "x"},
    "/infill": {"stream": True, "n_predict": 2, "prompt": "x"},
    "/completion": {"stream": True, "n_predict": 2},
    "/completions": {"stream": True, "n_predict": 2},
    "/api/generate": {"options": {"num_predict": 2}},
    "/generate_stream": {"inputs": "x", "parameters": {"max_new_tokens": 2}},
    "/": {"inputs": "x", "parameters": {"max_new_tokens": 2}, "stream": True},
}
SEGMENTS = {"segments": {"prefix": "def f(x):\n    y = ", "suffix": "\n    return y\n"}}


@pytest.fixture(scope="module")
def operations(http):
    paths = http.get("/openapi.json").json()["paths"]
    return {
        (method, path): one["responses"] for path, methods in paths.items() for method, one in methods.items()
    }


def form_of(response):
    """The model that an error is promised to have."""
    [(media_type, declared)] = response["content"].items()
    assert media_type == "application/json"
    return getattr(documented, declared["schema"]["$ref"].rsplit("/", 1)[1])


def test_every_route_declares_its_errors_and_none_that_fastapi_makes_up(operations):
    assert len(operations) >= 26
    for operation, responses in operations.items():
        assert "422" not in responses, operation
        assert form_of(responses["4XX"]) is form_of(responses["5XX"])


def test_a_refusal_has_the_form_that_is_declared(http, operations):
    forms = set()
    for (method, path), responses in operations.items():
        if method == "post" and path not in ("/v1/health", "/v1/events"):  # which take whatever comes
            answer = http.post(path, json=["not", "an", "object"])
            form = form_of(responses["4XX"])
            assert answer.status_code == 400, path
            assert form.model_validate_json(answer.text).model_dump() == answer.json(), path
            forms.add(form)
    assert len(forms) == 4


def test_a_missing_key_is_refused_in_the_form_that_is_declared(serve, operations):
    with serve(api_keys=("right",)) as url:
        for method, path in operations:
            if method == "post":
                answer = httpx.post(f"{url}{path}", json={})
                form = form_of(operations[method, path]["4XX"])
                assert answer.status_code == 401
                assert form.model_validate_json(answer.text).model_dump() == answer.json(), path


@pytest.mark.parametrize("path", STREAMED)
def test_a_stream_has_a_content_type_that_is_declared(http, operations, path):
    answer = http.post(path, json=STREAMED[path])
    media_type = answer.headers["content-type"].split(";")[0]
    assert answer.status_code == 200 and media_type != "application/json"
    assert media_type in operations["post", path]["200"]["content"]


def test_numbers_are_declared_as_text(http, operations):
    assert http.get("/metrics").headers["content-type"].startswith("text/plain")
    assert list(operations["get", "/metrics"]["200"]["content"]) == ["text/plain"]


def test_tabbys_answer_is_declared_beside_openais(http, operations):
    answer = http.post("/v1/completions", json=SEGMENTS).json()
    assert sorted(answer) == ["choices", "id", "mode"]
    declared = operations["post", "/v1/completions"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert [one["$ref"].rsplit("/", 1)[1] for one in declared] == ["CompletionResponse", "TabbyAnswer"]


def test_the_details_of_tgis_answer_are_there_only_where_they_are_asked_for(http):
    for details in (False, True):
        body = {"inputs": "x", "parameters": {"max_new_tokens": 2, "details": details, "seed": 3}}
        answer = http.post("/generate", json=body).json()
        assert ("details" in answer) == details
    assert answer["details"]["seed"] == 3 and answer["details"]["generated_tokens"] <= 2


def test_numbers_and_truth_values_in_quotation_marks_are_read_as_such(http):
    bodies = (
        {"max_tokens": 3, "seed": 1, "stream": False},
        {"max_tokens": "3", "seed": "1", "stream": "false"},
    )
    usages = [http.post("/v1/completions", json=body).json()["usage"] for body in bodies]
    assert usages[0] == usages[1] and usages[0]["completion_tokens"] == 3
    assert http.post("/v1/completions", json={"max_tokens": "three"}).status_code == 400
