import hashlib
import hmac
import re

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from meshcache.agent.trust.auth import WINDOW, Keys, Proof, Verifier, bearer
from meshcache.errors import InvalidInput, NotAllowed, ProofInvalid

KEYS = Keys(b"k" * 32)
STRANGER = Keys(b"s" * 32)
NOW = 1_800_000_000.0
NONCE = "0123456789abcdef" * 2

methods = st.sampled_from(["GET", "HEAD", "POST", "DELETE"])
line = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
targets = line.map(lambda text: "/v1/" + text)
nonces = st.binary(min_size=16, max_size=16).map(bytes.hex)


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def verifier(clock: Clock | None = None, **more: int) -> Verifier:
    return Verifier(KEYS, clock or Clock(), **more)


def nonce_of(number: int) -> str:
    return f"{number:016x}" + "0" * 16


@given(methods, targets, line, st.binary(max_size=200), nonces)
def test_a_proof_of_the_mesh_key_is_accepted(
    method: str, target: str, byte_range: str, body: bytes, nonce: str
) -> None:
    header = KEYS.sign(method, target, byte_range, body, NOW, nonce)
    assert verifier().check(method, target, byte_range, body, header) == Proof(nonce, KEYS.in_use)


@given(
    methods,
    targets,
    line,
    st.binary(max_size=50),
    st.sampled_from(["method", "target", "range", "body", "header"]),
    st.integers(min_value=0),
    st.integers(min_value=1, max_value=255),
)
def test_any_changed_byte_of_a_request_makes_its_proof_wrong(
    method: str, target: str, byte_range: str, body: bytes, part: str, position: int, change: int
) -> None:
    header = KEYS.sign(method, target, byte_range, body, NOW, NONCE)
    asked = {
        "method": method.encode(),
        "target": target.encode(),
        "range": byte_range.encode(),
        "body": body,
        "header": header.encode(),  # scheme, time, nonce and mac
    }
    changed = bytearray(asked[part] or b"\0")
    changed[position % len(changed)] ^= change
    asked[part] = bytes(changed)
    with pytest.raises((ProofInvalid, InvalidInput)):
        verifier().check(
            asked["method"].decode("latin-1"),
            asked["target"].decode("latin-1"),
            asked["range"].decode("latin-1"),
            asked["body"],
            asked["header"].decode("latin-1"),
        )


@given(st.integers(0, 10), st.integers(0, 10))
def test_bytes_cannot_move_from_one_part_of_a_request_to_the_next(cut: int, other: int) -> None:
    text = "/v1/abcdef"
    header = KEYS.sign("GET", text[:cut], text[cut:], b"", NOW, NONCE)
    if cut == other:
        verifier().check("GET", text[:other], text[other:], b"", header)
    else:
        with pytest.raises(ProofInvalid):
            verifier().check("GET", text[:other], text[other:], b"", header)


@pytest.mark.parametrize("part", ["method", "target", "range"])
def test_a_line_break_cannot_stand_in_a_request(part: str) -> None:
    asked = {"method": "GET", "target": "/", "range": ""}
    asked[part] += "\n"
    with pytest.raises(InvalidInput):
        KEYS.sign(asked["method"], asked["target"], asked["range"], b"", NOW, NONCE)


def test_the_proof_is_the_one_that_is_written_down() -> None:
    """A client in another language follows docs/wire-format.md; this spells it out."""
    key = blake3(b"k" * 32, derive_key_context="meshcache 2026 http request").digest()
    lines = ["GET", "/v1/x?a=b", "bytes=0-1", hashlib.sha256(b"").hexdigest(), "1800000000", NONCE]
    mac = hmac.new(key, "\n".join(lines).encode(), "sha256").hexdigest()
    assert KEYS.sign("GET", "/v1/x?a=b", "bytes=0-1", b"", NOW, NONCE) == (
        f"Meshcache-HMAC-SHA256 time=1800000000, nonce={NONCE}, mac={mac}"
    )


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (None, "needs proof"),
        ("", "needs proof"),
        ("Basic dXNlcjpwYXNz", "is no proof"),
        ("Bearer mct1.a.b", "is no proof"),
        (STRANGER.sign("GET", "/", "", b"", NOW, NONCE), "not proven with this mesh's key"),
    ],
)
def test_a_request_without_a_right_proof_is_refused(header: str | None, says: str) -> None:
    with pytest.raises(ProofInvalid, match=says):
        verifier().check("GET", "/", "", b"", header)


def test_a_request_is_served_once() -> None:
    checks = verifier()
    header = KEYS.sign("GET", "/", "", b"", NOW, NONCE)
    checks.check("GET", "/", "", b"", header)
    with pytest.raises(ProofInvalid, match="seen before"):
        checks.check("GET", "/", "", b"", header)


def test_a_request_is_not_served_again_when_its_time_runs_out_of_the_window() -> None:
    clock = Clock()
    checks = verifier(clock)
    header = KEYS.sign("GET", "/", "", b"", NOW + WINDOW, NONCE)
    checks.check("GET", "/", "", b"", header)
    for second in range(3 * WINDOW):
        clock.now = NOW + second
        with pytest.raises(ProofInvalid):
            checks.check("GET", "/", "", b"", header)


@pytest.mark.parametrize(
    ("off", "says"), [(-300, "300 s behind this agent's"), (300, "300 s ahead of this agent's")]
)
def test_a_clock_that_is_off_is_named_as_the_reason(off: int, says: str) -> None:
    with pytest.raises(ProofInvalid, match=says):
        verifier().check("GET", "/", "", b"", KEYS.sign("GET", "/", "", b"", NOW + off, NONCE))


def test_only_a_holder_of_the_key_is_told_about_clocks() -> None:
    header = STRANGER.sign("GET", "/", "", b"", NOW - 300, NONCE)
    with pytest.raises(ProofInvalid, match="not proven"):
        verifier().check("GET", "/", "", b"", header)


@pytest.mark.parametrize("off", [-WINDOW, 0, WINDOW])
def test_clocks_may_be_a_window_apart(off: int) -> None:
    verifier().check("GET", "/", "", b"", KEYS.sign("GET", "/", "", b"", NOW + off, NONCE))


def test_nonces_are_forgotten_when_the_window_has_passed() -> None:
    clock = Clock()
    checks = verifier(clock)
    for number in range(100):
        clock.now = NOW + number * 10
        header = KEYS.sign("GET", "/", "", b"", clock.now, nonce_of(number))
        checks.check("GET", "/", "", b"", header)
    assert checks.remembered <= 7


def test_memory_for_nonces_is_bounded_and_a_replay_still_fails() -> None:
    clock = Clock()
    checks = verifier(clock, limit=50)
    headers = []
    for number in range(200):
        clock.now = NOW + number / 10
        headers.append(KEYS.sign("GET", "/", "", b"", clock.now, nonce_of(number)))
        checks.check("GET", "/", "", b"", headers[-1])
        assert checks.remembered <= 50
    for header in headers:
        with pytest.raises(ProofInvalid):
            checks.check("GET", "/", "", b"", header)


def test_a_change_from_before_the_start_is_refused_and_a_read_is_not() -> None:
    """A restarted agent has forgotten its nonces: a recorded DELETE must not work again."""
    write = KEYS.sign("DELETE", "/v1/datasets/a", "", b"", NOW - 5, NONCE)
    with pytest.raises(ProofInvalid, match="before what this agent remembers"):
        verifier().check("DELETE", "/v1/datasets/a", "", b"", write)
    read = KEYS.sign("GET", "/v1/datasets/a", "", b"", NOW - 5, NONCE)
    verifier().check("GET", "/v1/datasets/a", "", b"", read)


HEADERS = {"content-length": "10", "etag": '"abc"', "meshcache-checksums": "aa"}


@given(st.binary(max_size=50), st.integers(0), st.integers(1, 255))
def test_any_changed_byte_of_an_answer_makes_its_proof_wrong(
    body: bytes, position: int, change: int
) -> None:
    proof = KEYS.prove_answer(NONCE, 200, {}, body)
    KEYS.check_answer(proof, NONCE, 200, {}, body)
    changed = bytearray(body or b"\0")
    changed[position % len(changed)] ^= change
    with pytest.raises(ProofInvalid):
        KEYS.check_answer(proof, NONCE, 200, {}, bytes(changed))


@pytest.mark.parametrize("name", [*HEADERS, "content-range"])
def test_the_proof_of_a_stream_covers_what_its_headers_promise(name: str) -> None:
    proof = KEYS.prove_answer(NONCE, 206, HEADERS, None)
    KEYS.check_answer(proof, NONCE, 206, HEADERS, None)
    with pytest.raises(ProofInvalid):
        KEYS.check_answer(proof, NONCE, 206, HEADERS | {name: "other"}, None)


@pytest.mark.parametrize(
    "proof",
    [
        None,
        "",
        "scope=body",
        KEYS.prove_answer(NONCE, 200, {}, None),  # of a stream, where the body was to be covered
        KEYS.prove_answer(NONCE, 404, {}, b"x"),
        KEYS.prove_answer("0" * 32, 200, {}, b"x"),  # of the answer to another request
        STRANGER.prove_answer(NONCE, 200, {}, b"x"),
    ],
)
def test_an_answer_without_the_right_proof_is_refused(proof: str | None) -> None:
    with pytest.raises(ProofInvalid):
        KEYS.check_answer(proof, NONCE, 200, {}, b"x")


names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)


@given(names, names)
def test_a_token_opens_its_own_dataset_and_no_other(mine: str, other: str) -> None:
    token = KEYS.mint_token(mine, NOW + 1)
    assert KEYS.check_token(token, "GET", mine, NOW).dataset == mine
    if other != mine:
        with pytest.raises(NotAllowed, match="is for dataset"):
            KEYS.check_token(token, "GET", other, NOW)


@given(st.integers(0), st.integers(1, 127))
def test_any_changed_byte_of_a_token_makes_it_wrong(position: int, change: int) -> None:
    token = bytearray(KEYS.mint_token("models", NOW + 60).encode())
    token[position % len(token)] ^= change
    with pytest.raises(ProofInvalid):
        KEYS.check_token(token.decode("latin-1"), "GET", "models", NOW)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", ""])
def test_a_token_only_reads(method: str) -> None:
    token = KEYS.mint_token("models", NOW + 60)
    with pytest.raises(NotAllowed, match="only reads"):
        KEYS.check_token(token, method, "models", NOW)


def test_a_token_ends() -> None:
    token = KEYS.mint_token("models", NOW + 60)
    KEYS.check_token(token, "GET", "models", NOW + 59.9)
    with pytest.raises(ProofInvalid, match="expired 40 s ago"):
        KEYS.check_token(token, "GET", "models", NOW + 100)


def test_a_token_of_another_mesh_is_refused() -> None:
    with pytest.raises(ProofInvalid, match="not made with this mesh's key"):
        KEYS.check_token(STRANGER.mint_token("models", NOW + 60), "GET", "models", NOW)


def test_a_token_needs_no_quoting_in_a_shell_or_a_url() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+", KEYS.mint_token("models.v2-x", NOW + 60))


def test_a_proof_of_one_use_is_never_right_for_another() -> None:
    assert len({*KEYS.in_use, b"k" * 32}) == 4


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("", None), (None, None)],
)
def test_a_bearer_is_found_in_its_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token


OLD, NEW = b"o" * 32, b"n" * 32


def test_while_the_key_is_changed_each_side_accepts_what_the_other_makes() -> None:
    """One member already uses the new key, the other does not yet."""
    ahead, behind = Keys(NEW, OLD), Keys(OLD, NEW)
    for asks, serves in ((ahead, behind), (behind, ahead), (Keys(OLD), ahead), (Keys(NEW), behind)):
        header = asks.sign("GET", "/v1/members", "", b"", NOW, NONCE)
        proof = Verifier(serves, Clock()).check("GET", "/v1/members", "", b"", header)
        answer = serves.prove_answer(proof.nonce, 200, {}, b"body", key=proof.key)
        asks.check_answer(answer, NONCE, 200, {}, b"body")
        token = asks.mint_token("models", NOW + 60)
        assert serves.check_token(token, "GET", "models", NOW).dataset == "models"


def test_what_a_removed_key_made_is_worth_nothing() -> None:
    keys = Keys(OLD)
    header = keys.sign("GET", "/", "", b"", NOW, NONCE)
    token = keys.mint_token("models", NOW + 60)
    checks = Verifier(keys, Clock())
    keys.change([NEW])
    with pytest.raises(ProofInvalid, match="this mesh's key"):
        checks.check("GET", "/", "", b"", header)
    with pytest.raises(ProofInvalid, match="make one anew if the key was changed"):
        keys.check_token(token, "GET", "models", NOW)
