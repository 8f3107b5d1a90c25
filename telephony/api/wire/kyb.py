"""Business verification (contract 6.3): a draft may be partial, a submission is whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from telephony.accounts.kyb import Kyb, KybForm, KybPolicy, may_buy
from telephony.api.wire.base import E164, Body, Camel, stamp
from telephony.base.clock import iso


def _email(value: str) -> str:
    name, at, host = value.partition("@")
    if not (name and at and "." in host.strip(".") and "@" not in host and value.isprintable()):
        raise ValueError("must be an email address")
    if " " in value:
        raise ValueError("must be an email address")
    return value


Short = Annotated[str, Field(min_length=1, max_length=200)]
Long = Annotated[str, Field(min_length=1, max_length=2000)]
Site = Annotated[str, Field(min_length=1, max_length=2048)]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
# What a draft may leave out or empty.
AnyShort = Annotated[str, Field(max_length=200)] | None
AnyLong = Annotated[str, Field(max_length=2000)] | None
AnySite = Annotated[str, Field(max_length=2048)] | None


class Address(Body):
    street: Short
    city: Short
    state: Short
    postal_code: Short
    country: Short


class BusinessProfile(Body):
    legal_name: Short
    display_name: Short
    entity_type: Short
    country: Short
    registration_id: Short | None = None
    website: Site
    address: Address
    use_case: Long
    expected_usage: Long


class Representative(Body):
    name: Short
    title: Short
    email: Email
    phone: E164 | None = None


class Declaration(Body):
    business_name: Short
    use_case: Long


class DraftAddress(Body):
    street: AnyShort = None
    city: AnyShort = None
    state: AnyShort = None
    postal_code: AnyShort = None
    country: AnyShort = None


class DraftProfile(Body):
    legal_name: AnyShort = None
    display_name: AnyShort = None
    entity_type: AnyShort = None
    country: AnyShort = None
    registration_id: AnyShort = None
    website: AnySite = None
    address: DraftAddress | None = None
    use_case: AnyLong = None
    expected_usage: AnyLong = None


class DraftRepresentative(Body):
    """What is no address or number yet may be one when it is submitted."""

    name: AnyShort = None
    title: AnyShort = None
    email: Annotated[str, Field(max_length=254)] | None = None
    phone: Annotated[str, Field(max_length=32)] | None = None


class KybDraft(Body):
    """As much as there is."""

    business_profile: DraftProfile | None = None
    authorized_representative: DraftRepresentative | None = None
    attestation_accepted: bool | None = None

    def form(self) -> KybForm:
        return KybForm(
            business_profile=_kept(self.business_profile),
            representative=_kept(self.authorized_representative),
            attestation_accepted=bool(self.attestation_accepted),
        )


class KybSubmit(Body):
    """The full form, or a declaration with the version of what it attests."""

    business_profile: BusinessProfile | None = None
    authorized_representative: Representative | None = None
    declaration: Declaration | None = None
    attestation_accepted: Literal[True]
    attestation_version: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> KybSubmit:
        if self.declaration is None:
            if self.business_profile is None:
                raise ValueError("businessProfile: is required")
            if self.authorized_representative is None:
                raise ValueError("authorizedRepresentative: is required")
        elif self.attestation_version is None:
            raise ValueError("attestationVersion: is required beside a declaration")
        return self

    def form(self) -> KybForm:
        return KybForm(
            business_profile=_kept(self.business_profile),
            representative=_kept(self.authorized_representative),
            declaration=_kept(self.declaration),
            attestation_accepted=True,
        )


def _kept(part: BaseModel | None) -> dict[str, Any] | None:
    return None if part is None else part.model_dump(by_alias=True, exclude_none=True)


# --- replies ---------------------------------------------------------------------------------


class AddressRow(Camel):
    """What a draft leaves out is empty: clients want a string."""

    street: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""


class ProfileRow(Camel):
    legal_name: str = ""
    display_name: str = ""
    entity_type: str = ""
    country: str = ""
    registration_id: str | None = None
    website: str = ""
    address: AddressRow = AddressRow()
    use_case: str = ""
    expected_usage: str = ""


class RepresentativeRow(Camel):
    name: str = ""
    title: str = ""
    email: str = ""
    phone: str | None = None


class DeclarationRow(Camel):
    business_name: str
    use_case: str


class Attestor(Camel):
    kind: str = "api_key"
    api_key_id: str


class SubmissionRow(Camel):
    id: str
    organization_id: str
    status: str
    business_profile: ProfileRow | None
    authorized_representative: RepresentativeRow | None
    declaration: DeclarationRow | None
    attestor: Attestor | None
    attestation_accepted: bool
    attestation_version: str | None
    attestation_text: str | None
    terms_version: str | None
    attested_at: str | None
    access_hold_at: str | None
    access_hold_reason: str | None
    submitted_by_user_id: str | None = None
    submitted_by_email: str | None = None
    submitted_by_api_key_id: str | None
    submitted_at: str | None
    reviewer_user_id: str | None
    reviewer_email: str | None = None
    reviewed_at: str | None
    rejection_reason: str | None
    slack_notification_status: str = "not_queued"
    slack_notification_job_id: str | None = None
    slack_notification_error: str | None = None
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, kyb: Kyb) -> SubmissionRow:
        return cls.model_validate(
            {
                "id": kyb.id,
                "organizationId": kyb.organization,
                "status": kyb.status.value,
                "businessProfile": kyb.form.business_profile,
                "authorizedRepresentative": kyb.form.representative,
                "declaration": kyb.form.declaration,
                "attestor": {"apiKeyId": kyb.submitted_by} if kyb.submitted_by else None,
                "attestationAccepted": kyb.form.attestation_accepted,
                "attestationVersion": kyb.attestation_version,
                "attestationText": kyb.attestation_text,
                "termsVersion": kyb.terms_version,
                "attestedAt": stamp(kyb.attested_at),
                "accessHoldAt": stamp(kyb.hold_at),
                "accessHoldReason": kyb.hold_reason,
                "submittedByApiKeyId": kyb.submitted_by,
                "submittedAt": stamp(kyb.submitted_at),
                "reviewerUserId": kyb.reviewer,
                "reviewedAt": stamp(kyb.reviewed_at),
                "rejectionReason": kyb.rejection_reason,
                "createdAt": iso(kyb.created_at),
                "updatedAt": iso(kyb.updated_at),
            }
        )


class Attestation(Camel):
    """What has to be attested."""

    version: str
    text: str
    terms_version: str
    terms_url: str


class KybOverview(Camel):
    status: str
    submission: SubmissionRow | None
    prefill: None = None
    declaration_prefill: DeclarationRow | None
    required_attestation: Attestation
    attestation_required: bool
    compliance_access: str

    @classmethod
    def of(cls, kyb: Kyb | None, policy: KybPolicy, docs: str) -> KybOverview:
        """``docs``: where the terms are where the policy names no place."""
        access = may_buy(kyb, policy)
        held = kyb is not None and kyb.hold_reason is not None
        blocked = "suspended" if held else "awaiting_attestation"
        return cls(
            status=kyb.status.value if kyb is not None else "missing",
            submission=SubmissionRow.of(kyb) if kyb is not None else None,
            declaration_prefill=_declared(kyb),
            required_attestation=Attestation(
                version=policy.version,
                text=policy.text,
                terms_version=policy.terms_version,
                terms_url=policy.terms_url or docs,
            ),
            attestation_required=not access,
            compliance_access="enabled" if access else blocked,
        )


def _declared(kyb: Kyb | None) -> DeclarationRow | None:
    """The short form of what was filed in the long one."""
    profile = kyb.form.business_profile if kyb is not None else None
    if not profile or not profile.get("legalName") or not profile.get("useCase"):
        return None
    return DeclarationRow(business_name=profile["legalName"], use_case=profile["useCase"])
