"""The description is drawn from the routes, and what is in the repository is what is served."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import msgspec

from batchd.control.openapi import STATUS, document
from batchd.control.routes import ROUTES

PAGE = Path(__file__).parents[2] / "docs" / "openapi.json"


def drawn() -> str:
    return msgspec.json.format(msgspec.json.encode(document(ROUTES)), indent=2).decode() + "\n"


def test_the_page_is_what_is_served():
    """To draw it anew: `python -m tests.control.test_openapi > docs/openapi.json`."""
    assert PAGE.read_text(encoding="utf-8") == drawn()


def test_every_reference_leads_somewhere_and_every_refusal_has_a_status():
    described = document(ROUTES)
    schemas = described["components"]["schemas"]

    assert set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described))) == schemas.keys()
    assert set(schemas["Refusal"]["properties"]["code"]["enum"]) == STATUS.keys()


def test_each_route_has_a_name_of_its_own():
    assert len({route.name for route in ROUTES}) == len(ROUTES)


if __name__ == "__main__":
    sys.stdout.write(drawn())
