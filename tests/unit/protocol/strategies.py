"""What Hypothesis draws: JSON values, transactions, sessions, known states."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from protocol.transaction import MAX_MADE_AT, Transaction
from tests.signing import Account, Json, private, trusting

text: st.SearchStrategy[str] = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

json_leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
json_values: st.SearchStrategy[Any] = st.recursive(
    json_leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)

_encrypted = st.text(st.sampled_from("abcXYZ019-_="), max_size=20)
_made_at = st.integers(min_value=0, max_value=MAX_MADE_AT)

transactions: st.SearchStrategy[Json] = st.one_of(
    st.builds(lambda changes, at: trusting(changes, made_at=at), text, _made_at),
    st.builds(lambda changes, at, m: trusting(changes, made_at=at, meta=m), text, _made_at, text),
    st.builds(lambda secret, at: private(secret, made_at=at), _encrypted, _made_at),
    st.builds(
        lambda secret, at, m: private(secret, made_at=at, meta=m), _encrypted, _made_at, _encrypted
    ),
)

_SESSION_IDS = [Account.named("alice").session(str(n)).id for n in range(3)]
_SESSION_IDS += [Account.named("bob").delete_session().id]

session_counts: st.SearchStrategy[dict[str, int]] = st.dictionaries(
    st.sampled_from(_SESSION_IDS), st.integers(min_value=0, max_value=6)
)


def decoded(transaction: Json) -> Transaction:
    """A transaction as the server holds it."""
    return Transaction(**transaction)
