//! MSPs and identities: which are valid, and all that is known of those that can be read.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use fabric_channel::{
    CertificateError, ChainError, Curve, Identity, IdentityError, InvalidIdentity, KeyAlgorithm, MspError, MspVersion,
    Msps, MspsError, Principal,
};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::{MspConfig, MspPrincipal};
use prost::Message as _;

use super::cases::{IdentityCase, IdentityCorpus, MspCase, PrincipalCase};
use super::tally::{Outcome, Tally};

pub fn check(corpus: &IdentityCorpus, tally: &mut Tally) {
    let msps: BTreeMap<&str, Result<Result<Msps, MspsError>, String>> =
        corpus.msps.iter().map(|case| (case.name.as_str(), set_up(case))).collect();
    for case in &corpus.cases {
        tally.case(&case.id, || {
            let outcome = msps.get(case.msp.as_str()).ok_or("its MSP is not there")?.as_ref()?;
            match (case.kind.as_str(), outcome) {
                ("setup", outcome) => check_set_up(case, outcome.as_ref().err()),
                ("identity", Ok(msps)) => check_identity(case, msps),
                ("identity", Err(error)) => Err(error.to_string()),
                (kind, _) => Err(format!("cases of kind {kind} are not known")),
            }
        });
    }
}

fn set_up(case: &MspCase) -> Result<Result<Msps, MspsError>, String> {
    let definition = MspConfig::decode(&case.config[..]).map_err(|error| error.to_string())?;
    let mut msps = Msps::new(version(&case.version)?);
    Ok(msps.add(&definition).map(|_| msps))
}

fn check_set_up(case: &IdentityCase, error: Option<&MspsError>) -> Result<Outcome, String> {
    if error.is_none() != case.is_valid {
        return Err(format!("{error:?} instead of {}", case.class));
    }
    match error.map_or("ok", class_of_set_up) {
        class if class == case.class => Ok(Outcome::Passed),
        class => Err(format!("{class} instead of {}: {error:?}", case.class)),
    }
}

fn check_identity(case: &IdentityCase, msps: &Msps) -> Result<Outcome, String> {
    let identity = match msps.deserialise(&case.identity) {
        Ok(identity) => identity,
        Err(error) if case.stage != "deserialize" => return Err(error.to_string()),
        Err(error) => return check_class(case, class_of_unreadable(&error)),
    };
    let validity = identity.validity();
    if case.stage == "deserialize" || validity.is_ok() != case.is_valid {
        return Err(format!("{validity:?} instead of {}", case.class));
    }
    // Asked again it is known, and must be the same in all that follows.
    let again = msps.deserialise(&case.identity).map_err(|error| error.to_string())?;
    if again != identity || again.validity() != validity {
        return Err("another identity when asked again".to_owned());
    }
    check_facts(case, &again)?;
    for principal in &case.principals {
        let compiled = Principal::compile(&principal_of(principal, case)?, msps);
        if compiled.is_satisfied_by(&again) != principal.is_satisfied {
            return Err(format!("{compiled:?}"));
        }
    }
    check_class(case, validity.err().map_or("valid", |error| class_of_invalid(&error)))?;
    check_signatures(case, &again)
}

fn check_class(case: &IdentityCase, class: &str) -> Result<Outcome, String> {
    // Go's text about a forbidden name also says "not authorized to sign", and then the corpus calls it the other name.
    let is_forbidden_name = class == "name_constraint" && case.class == "issuer_not_ca";
    if class == case.class || is_forbidden_name {
        return Ok(Outcome::Passed);
    }
    Err(format!("{class} instead of {}", case.class))
}

fn check_facts(case: &IdentityCase, identity: &Identity) -> Result<(), String> {
    let units = identity.units().iter();
    let units: Vec<String> =
        units.map(|unit| format!("{}:{}", unit.name(), hex::encode(&unit.certifiers()[..8]))).collect();
    let serialised = digest(&SHA256, &identity.serialise());
    let expiry = identity.certificate().not_after_unix_s();
    for (what, holds) in [
        ("identifier", identity.key().identifier() == case.identifier),
        ("serialised form", serialised.as_ref() == case.reserialised_sha256),
        ("organizational units", units == case.units),
        ("expiry", case.expires_at_unix_s.is_none_or(|expected| expected == expiry)),
    ] {
        if !holds {
            return Err(format!("another {what}"));
        }
    }
    Ok(())
}

fn check_signatures(case: &IdentityCase, identity: &Identity) -> Result<Outcome, String> {
    if identity.verify(&case.data, &case.high_s_signature).is_ok() != case.is_high_s_valid {
        return Err("another verdict about the high-S signature".to_owned());
    }
    let is_signed = identity.verify(&case.data, &case.signature).is_ok();
    if is_signed == case.is_signature_valid {
        return Ok(Outcome::Passed);
    }
    match identity.certificate().public_key().algorithm() {
        KeyAlgorithm::Ecdsa(Curve::P224) if !is_signed => Ok(Outcome::Skipped("no signature under P-224 is verified")),
        _ => Err("another verdict about the signature".to_owned()),
    }
}

fn principal_of(case: &PrincipalCase, identity: &IdentityCase) -> Result<MspPrincipal, String> {
    if case.own == "self" {
        return Ok(MspPrincipal {
            principal_classification: Classification::Identity.into(),
            principal: identity.identity.clone().into(),
        });
    }
    MspPrincipal::decode(&case.principal[..]).map_err(|error| error.to_string())
}

fn version(text: &str) -> Result<MspVersion, String> {
    Ok(match text {
        "1.0" => MspVersion::V1_0,
        "1.1" => MspVersion::V1_1,
        "1.3" => MspVersion::V1_3,
        "1.4.3" => MspVersion::V1_4_3,
        "3.0" => MspVersion::V3_0,
        other => return Err(format!("MSP version {other} is not known")),
    })
}

fn class_of_unreadable(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::Malformed => "serialized_identity_malformed",
        IdentityError::UnknownMsp(_) | IdentityError::UnsupportedMsp(_) => "unknown_msp",
        IdentityError::Certificate(CertificateError::NotPem) => "pem_malformed",
        IdentityError::Certificate(_) => "certificate_malformed",
        IdentityError::Chain(error) => class_of_chain(error),
    }
}

fn class_of_invalid(error: &InvalidIdentity) -> &'static str {
    match error {
        InvalidIdentity::KeyAlgorithm => "public_key_algorithm_unsupported",
        InvalidIdentity::CertificateAuthority => "ca_as_identity",
        InvalidIdentity::Chain(error) => class_of_chain(error),
        InvalidIdentity::IssuerIsInternal => "issuer_is_internal_ca",
        InvalidIdentity::Revoked => "revoked",
        InvalidIdentity::RevocationList(_) => "crl",
        InvalidIdentity::NoOrganizationalUnit => "ou_missing",
        InvalidIdentity::UnitNotInMsp => "ou_not_in_msp",
        InvalidIdentity::NoRole => "node_ou_missing",
        InvalidIdentity::SeveralRoles => "node_ou_multiple",
        InvalidIdentity::CertifierMismatch => "ou_certifier_mismatch",
        InvalidIdentity::NotAnAuthority => "setup_ca_not_ca",
        InvalidIdentity::NoSubjectKeyId => "setup_ca_no_ski",
        InvalidIdentity::AdminWithoutRole => "setup_admin_invalid",
    }
}

fn class_of_chain(error: &ChainError) -> &'static str {
    match error {
        ChainError::UnknownAuthority => "unknown_authority",
        ChainError::OutsideOfValidity => "ca_time_invalid",
        ChainError::CriticalExtension => "critical_extension",
        ChainError::NotAnAuthority => "issuer_not_ca",
        ChainError::PathTooLong => "path_len_exceeded",
        ChainError::KeyUsage => "eku_incompatible",
        ChainError::NameConstraint => "name_constraint",
        ChainError::Several(_) => "several_chains",
        ChainError::TooManyChecks => "too_many_checks",
    }
}

fn class_of_set_up(error: &MspsError) -> &'static str {
    let MspsError::Msp(error) = error else { return "msps" };
    match error {
        MspError::NoRoot { .. } => "setup_no_root",
        MspError::SigningIdentity { .. } => "setup_signing_identity",
        MspError::HashFunction { .. } => "setup_hash_unknown",
        MspError::IncompleteNodeOus { .. } => "setup_node_ou_incomplete",
        MspError::NoAdmins { .. } => "setup_no_admins",
        MspError::RevocationList { .. } => "setup_crl_malformed",
        MspError::EmptyId => "msp_id_empty",
        MspError::Type(_) => "msp_type_unsupported",
        MspError::Malformed => "msp_malformed",
        MspError::Certificate { what, why, .. } => class_of_listed(what, why),
    }
}

/// The reason stands in the error as the text of another one.
fn class_of_listed(what: &str, why: &str) -> &'static str {
    if why == CertificateError::NotPem.to_string() {
        return "pem_malformed";
    }
    if what.contains("organizational unit") {
        return "setup_ou_certifier_unknown";
    }
    if why.contains("listed as a root") {
        return "root_not_self_signed";
    }
    let invalid = [
        InvalidIdentity::NotAnAuthority,
        InvalidIdentity::NoSubjectKeyId,
        InvalidIdentity::Revoked,
        InvalidIdentity::CertificateAuthority,
        InvalidIdentity::AdminWithoutRole,
        InvalidIdentity::Chain(ChainError::UnknownAuthority),
        InvalidIdentity::Chain(ChainError::KeyUsage),
        InvalidIdentity::Chain(ChainError::NotAnAuthority),
    ];
    invalid.iter().find(|error| error.to_string() == why).map_or("certificate", class_of_invalid)
}
