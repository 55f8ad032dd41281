"""Signatures of GETs: those of AWS's documentation, and the same as botocore's."""

import calendar
import datetime
from typing import Any

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from meshcache.origin.s3_sign import Signer

KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def test_the_example_of_the_documentation() -> None:
    # "Example: GET Object" of sig-v4-header-based-auth.
    example = {
        "access_key": "AKIAIOSFODNN7EXAMPLE",
        "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }
    now = calendar.timegm((2013, 5, 24, 0, 0, 0))
    sent = Signer(example, "us-east-1").headers(
        "examplebucket.s3.amazonaws.com", "/test.txt", {"Range": "bytes=0-9"}, now
    )
    assert sent["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@given(
    path=st.lists(st.sampled_from(["a", "%20", "~", "/", "//", "%C3%A4", "..", "+"]), max_size=9),
    tag=WORDS,
    token=st.none() | WORDS,
    now=st.integers(0, 4_000_000_000),
    region=st.sampled_from(["us-east-1", "oss-cn-hangzhou"]),
)
def test_botocore_signs_the_same(
    path: list[str], tag: str, token: str | None, now: int, region: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC)

        def stop_the_clock(remove_tzinfo: bool = True) -> datetime.datetime:
            return moment.replace(tzinfo=None) if remove_tzinfo else moment

        patch.setattr(auth, "get_current_datetime", stop_the_clock)
        where = "/bucket/" + "".join(path)
        headers = {"If-Match": f'"{tag}"', "Range": "bytes=0-99"}
        request = AWSRequest(method="GET", url=f"https://h:8333{where}", headers=headers)
        credentials: Any = Credentials(KEYS["access_key"], KEYS["secret_key"], token)
        auth.S3SigV4Auth(credentials, "s3", region).add_auth(request)
        secrets = KEYS if token is None else {**KEYS, "session_token": token}
        signer = Signer(secrets, region)
        for _ in range(2):  # the second time with the key that is kept
            sent = signer.headers("h:8333", where, headers, now + 0.5)
            assert sent["Authorization"] == request.headers["Authorization"]
            assert sent["X-Amz-Date"] == request.headers["X-Amz-Date"]
            assert sent.get("X-Amz-Security-Token") == token
