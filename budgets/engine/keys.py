"""
Keys: what a client shows a server, and what the server may do for whoever has it.

A key's text is `bk_<id>_<secret>`. Only the SHA-256 of the secret is kept: a secret of 256 random bits cannot
be guessed, so the slow, salted hashes that passwords need would only make every request slow.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field, replace
from datetime import datetime

from budgets.clock import iso
from budgets.engine.paths import budgets_on_path
from budgets.errors import ConflictError, InvalidValueError, UnauthenticatedError, UnknownKeyError
from budgets.ports import Reading, Transaction
from budgets.records import ROOT, Key, Role

_MARK = "bk"
_SECRET_BYTES = 32
_ID_BYTES = 6
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, and the only sight of its text there will ever be."""

    key: Key
    text: str = field(repr=False)


def create(
    txn: Transaction,
    now: datetime,
    *,
    role: Role,
    key_id: str | None = None,
    user: str | None = None,
    under: str = ROOT,
    expires_at: datetime | None = None,
    note: str | None = None,
) -> NewKey:
    """
    Make a key.

    Args:
        key_id: A name of one's own, which is a part of the key's text; `None`: one is made.
        user: The only user it is for; `None`: everybody below *under*.
        under: The top of the subtree it is for; `ROOT`: all of the project.
        expires_at: From when on it is refused; `None`: never.

    Raises:
        ConflictError: there is a key of that id.
        InvalidValueError: an admin's key for a part of the project, a moment that is past, a long note.
        UnknownUserError: the user, or the top of the subtree, has no budget.
    """
    if user is not None and under != ROOT:
        raise InvalidValueError("a key is for one user or for a subtree", hint="give one of the two")
    bound = user if user is not None else under
    if role == "admin" and bound != ROOT:
        raise InvalidValueError(
            "an admin's key is for the whole project", hint="bind a key of role meter or read to a user"
        )
    if bound != ROOT:
        # A name that nobody has would be a key that opens nothing, found out much later.
        budgets_on_path(txn, bound)
    if expires_at is not None and expires_at <= now:
        raise InvalidValueError(f"{iso(expires_at)} is past", hint="give a moment to come, or none")
    if note is not None and len(note) > LONGEST_NOTE:
        raise InvalidValueError(f"a note has at most {LONGEST_NOTE} characters", hint="use a shorter one")
    chosen = os.urandom(_ID_BYTES).hex() if key_id is None else key_id
    if not _ID.fullmatch(chosen):
        raise InvalidValueError(
            "a key's id is up to 40 small letters, digits, and hyphens", hint="for instance --id ci-runner"
        )
    if txn.key(chosen) is not None:
        raise ConflictError(
            f"there is a key {chosen} already",
            hint=f"give it another secret with `budget key rotate {chosen}`, or take another id",
            id=chosen,
        )
    made = Key(chosen, role, "", now, user, under, expires_at, note=note)
    return _with_secret(txn, made)


def rotate(txn: Transaction, now: datetime, *, key_id: str) -> NewKey:
    """
    Give a key another secret; the old one is refused from now on.

    Raises:
        UnknownKeyError: there is no such key.
        InvalidValueError: it was revoked, or has expired.
    """
    key = _find(txn, key_id)
    reason = refusal(key, now)
    if reason is not None:
        raise InvalidValueError(
            f"the key {key_id} {reason}", hint="make another one with `budget key create`", id=key_id
        )
    return _with_secret(txn, key)


def revoke(txn: Transaction, now: datetime, *, key_id: str) -> Key:
    """
    Refuse a key from now on. Safe to repeat.

    Raises:
        UnknownKeyError: there is no such key.
    """
    key = _find(txn, key_id)
    if key.revoked_at is None:
        key = replace(key, revoked_at=now)
        txn.put_key(key)
    return key


def refusal(key: Key, now: datetime) -> str | None:
    """Why a key is refused now, in words; `None`: it is not."""
    if key.revoked_at is not None:
        return f"was revoked at {iso(key.revoked_at)}"
    if key.expires_at is not None and key.expires_at <= now:
        return f"has expired at {iso(key.expires_at)}"
    return None


def parse(text: str) -> tuple[str, str]:
    """
    The id and the secret in a key's text.

    Raises:
        UnauthenticatedError: it is no key's text.
    """
    mark, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if mark != _MARK or not key_id or not secret or not text.isascii():
        raise UnauthenticatedError(
            "that is no key of this program", hint="a key begins with bk_; make one with `budget key create`"
        )
    return key_id, secret


def verify(key: Key | None, secret: str, now: datetime) -> Key:
    """
    That key, if *secret* is its secret and it is not refused. It takes as long for a wrong secret.

    Raises:
        UnauthenticatedError: otherwise; the words do not tell an unknown key from a wrong secret.
    """
    kept = key.secret_hash if key is not None else hash_secret("")
    if not hmac.compare_digest(kept, hash_secret(secret)) or key is None:
        raise UnauthenticatedError("there is no such key", hint="`budget key list` shows which there are")
    reason = refusal(key, now)
    if reason is not None:
        raise UnauthenticatedError(
            f"the key {key.id} {reason}", hint="make another one with `budget key create`", id=key.id
        )
    return key


def hash_secret(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _with_secret(txn: Transaction, key: Key) -> NewKey:
    secret = urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode().rstrip("=")
    kept = replace(key, secret_hash=hash_secret(secret))
    txn.put_key(kept)
    return NewKey(kept, f"{_MARK}_{key.id}_{secret}")


def _find(view: Reading, key_id: str) -> Key:
    found = view.key(key_id)
    if found is None:
        raise UnknownKeyError(
            f"there is no key {key_id} in this project",
            hint="`budget key list` shows which there are",
            id=key_id,
        )
    return found
