"""Which key a request presents: as at the authority's own doors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from casapay_token_authority._presented_key import CONFLICT, presented_key

_VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "credentials.json").read_bytes())["vectors"]


@pytest.mark.parametrize("vector", _VECTORS, ids=[vector["name"] for vector in _VECTORS])
def test_presents(vector: Mapping[str, Any]) -> None:
    expected = CONFLICT if vector["presents"] == {"conflict": True} else vector["presents"]
    assert presented_key(vector["authorization"], vector["x_api_key"]) == expected
