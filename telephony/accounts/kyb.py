"""Who an organization says it is, before it may buy numbers (contract section 6.3). Pure.

The default policy approves what is submitted: whoever runs the service knows his customers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from telephony.base.errors import BadInput, Conflict, Refused

REFUSED = "KYB_REQUIRED"


class KybStatus(StrEnum):
    """The contract's closed set; an organization that filed nothing has none of them."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KybPolicy:
    """What must be attested, and whether a person looks at it (``manual``)."""

    manual: bool = False
    version: str = "1"
    text: str = (
        "What is said here is true, and the numbers are used as it says and as the law allows."
    )
    terms_version: str = "1"
    terms_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KybForm:
    """What was filled in, named as on the wire; a draft may lack members."""

    business_profile: dict[str, Any] | None = None
    representative: dict[str, Any] | None = None
    declaration: dict[str, Any] | None = None
    attestation_accepted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kyb:
    """The one submission of an organization. ``access``: it may buy, whatever it files next."""

    id: str
    organization: str
    status: KybStatus
    form: KybForm = field(default_factory=KybForm)
    attestation_version: str | None = None
    attestation_text: str | None = None
    terms_version: str | None = None
    attested_at: datetime | None = None
    access: bool = False
    hold_at: datetime | None = None
    hold_reason: str | None = None
    submitted_by: str | None = None
    submitted_at: datetime | None = None
    reviewer: str | None = None
    reviewed_at: datetime | None = None
    rejection_reason: str | None = None
    created_at: datetime
    updated_at: datetime


def drafted(old: Kyb | None, item: str, organization: str, form: KybForm, now: datetime) -> Kyb:
    """A draft in place of what was there.

    Raises:
        Conflict: what was submitted is being looked at.
    """
    if old is None:
        return Kyb(
            id=item,
            organization=organization,
            status=KybStatus.DRAFT,
            form=form,
            created_at=now,
            updated_at=now,
        )
    if old.status is KybStatus.SUBMITTED:
        raise Conflict("a submission is under review: no draft can take its place")
    return replace(old, status=KybStatus.DRAFT, form=form, updated_at=now)


def submitted(
    old: Kyb | None,
    item: str,
    organization: str,
    form: KybForm,
    version: str | None,
    key: str,
    policy: KybPolicy,
    now: datetime,
) -> Kyb:
    """What is for review, or approved at once. Filing it again before anybody has looked takes
    the place of what was filed.

    Raises:
        BadInput: another text was attested than the one that must be (``attestationVersion``).
    """
    if version is not None and version != policy.version:
        raise BadInput(
            f"attestationVersion: must be {policy.version!r}, as requiredAttestation says",
            field="attestationVersion",
        )
    base = replace(old, status=KybStatus.DRAFT) if old is not None else None
    filed = replace(
        drafted(base, item, organization, form, now),
        status=KybStatus.SUBMITTED,
        attestation_version=policy.version,
        attestation_text=policy.text,
        terms_version=policy.terms_version,
        attested_at=now,
        submitted_by=key,
        submitted_at=now,
        reviewer=None,
        reviewed_at=None,
        rejection_reason=None,
    )
    return filed if policy.manual else approved(filed, None, now)


def approved(kyb: Kyb, reviewer: str | None, now: datetime) -> Kyb:
    """Raises Conflict where nothing was submitted."""
    if kyb.status in (KybStatus.DRAFT, KybStatus.APPROVED):
        raise Conflict(f"there is nothing to approve: it is {kyb.status.value}")
    return replace(
        kyb,
        status=KybStatus.APPROVED,
        access=True,
        hold_at=None,
        hold_reason=None,
        reviewer=reviewer,
        reviewed_at=now,
        rejection_reason=None,
        updated_at=now,
    )


def rejected(kyb: Kyb, reason: str, reviewer: str | None, now: datetime) -> Kyb:
    """Of what was approved already it is a revocation. Raises Conflict where there is neither."""
    if kyb.status not in (KybStatus.SUBMITTED, KybStatus.APPROVED):
        raise Conflict(f"there is nothing to reject: it is {kyb.status.value}")
    word = KybStatus.REJECTED if kyb.status is KybStatus.SUBMITTED else KybStatus.REVOKED
    return replace(
        kyb,
        status=word,
        access=False,
        hold_at=now,
        hold_reason=word.value,
        reviewer=reviewer,
        reviewed_at=now,
        rejection_reason=reason,
        updated_at=now,
    )


def may_buy(kyb: Kyb | None, policy: KybPolicy) -> bool:
    """Whether numbers may be bought."""
    return not policy.manual or (kyb is not None and kyb.access)


def check_may_buy(kyb: Kyb | None, policy: KybPolicy) -> None:
    """Raises Refused (code KYB_REQUIRED, 403)."""
    if not may_buy(kyb, policy):
        raise Refused("business verification must be approved first", code=REFUSED)
