"""Which key a request presents: as at the authority's own doors for gateways."""

import base64

import pytest

from casapay_token_authority._presented_key import CONFLICT, presented_key


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode("latin-1")).decode()


@pytest.mark.parametrize(
    ("authorization", "api_key", "expected"),
    [
        ([], [], None),
        (["Bearer k1"], [], "k1"),
        (["bEaReR   k1"], [], "k1"),
        (["Bearer k1 "], [], "k1"),
        (["Bearer"], [], None),
        (["Bearer k1 k2"], [], None),
        (["Bearer\tk1"], [], None),
        (["Digest k1"], [], None),
        (["k1"], [], None),
        (["Bearer " + "k" * 505], [], "k" * 505),
        (["Bearer " + "k" * 506], [], None),
        ([_basic("k1:")], [], "k1"),
        ([_basic("k1:").rstrip("=")], [], "k1"),
        ([_basic("k1")], [], None),
        ([_basic(":")], [], None),
        ([_basic("k1:password")], [], None),
        ([_basic("k1::")], [], None),
        (["Basic azE6!"], [], None),
        (["Basic azE=6"], [], None),
        # The last characters carry bits that are no part of a byte.
        (["Basic azE6YQ=="], [], None),
        (["Basic azF6Og=="], [], "k1z"),
        (["Basic azF6Oh=="], [], None),
        ([], ["k1"], "k1"),
        ([], [" k1 "], "k1"),
        ([], ["k 1"], None),
        ([], ["k" * 513], None),
        ([], [""], None),
        (["Bearer k1"], ["k1"], "k1"),
        (["Bearer k1", "Bearer k1"], [], "k1"),
        (["Bearer k1, Bearer k1"], [], "k1"),
        (["Bearer k1", _basic("k1:")], ["k1", "k1"], "k1"),
        (["Bearer k1"], [""], "k1"),
        (["Bearer k1"], ["k2"], CONFLICT),
        (["Bearer k1", "Bearer k2"], [], CONFLICT),
        ([], ["k1,k2"], CONFLICT),
        (["Digest k1"], ["k1"], CONFLICT),
        (["Bearer k1", "Digest k2"], [], CONFLICT),
        (["Bearer k1" + "," * 4096], ["k1"], CONFLICT),
        (["Bearer k1" + "," * 4096], [], None),
    ],
)
def test_presents(authorization: list[str], api_key: list[str], expected: object) -> None:
    assert presented_key(authorization, api_key) == expected
