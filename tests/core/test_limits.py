"""An endpoint has one name in the house, whatever another server writes before it."""

import pytest

from batchd.core.limits import ENDPOINTS, accepted, canonical


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("prefix", ["/v1", "", "/v4", "/openai/deployments/gpt"])
def test_every_accepted_url_has_the_canonical_form_of_its_endpoint(prefix: str, endpoint: str):
    url = prefix + endpoint.removeprefix("/v1")
    assert accepted(["/v1", prefix])[url] == endpoint
    assert canonical(url) == endpoint


def test_chat_is_not_taken_for_completions():
    assert canonical("/chat/completions") == "/v1/chat/completions"
    assert canonical("/completions") == "/v1/completions"


def test_only_the_given_prefixes_are_accepted():
    assert set(accepted(["/v1"])) == set(ENDPOINTS)
    assert "/chat/completions" not in accepted(["/v1", "/v4"])


def test_what_is_unknown_stays_as_it_is():
    assert canonical("/v1/rerank") == "/v1/rerank"
