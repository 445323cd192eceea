//! The certificate authorities of one MSP, and the chains from a certificate up to one of its roots.
//!
//! Follows Go's chain builder as Fabric calls it: the time of verification is one second after the start of
//! validity of the certificate in question, so expiry never decides; extended key usage, if present anywhere in the
//! chain, must allow server authentication; and there has to be *exactly one* chain, since with two it would be
//! unclear who vouches. Contract §7.4 step 3.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{self, Digest};
use bytes::Bytes;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::limits::CHAIN_SIGNATURE_CHECKS_MAX;

/// Why there is no single valid chain from a certificate to a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainError {
    /// No certificate authority of the MSP has signed it.
    #[error("no certificate authority of this MSP has issued it")]
    UnknownAuthority,
    /// The start of the certificate's validity lies outside of the validity of a certificate in its chain.
    #[error("its validity starts outside of the validity of a certificate in its chain")]
    OutsideOfValidity,
    /// A critical extension that is not evaluated.
    #[error("a certificate in its chain has a critical extension that is not understood")]
    CriticalExtension,
    /// A certificate in the chain may not issue certificates.
    #[error("a certificate in its chain is not a certificate authority")]
    NotAnAuthority,
    /// More certificates below an authority than its path length allows.
    #[error("its chain is longer than a certificate authority in it allows")]
    PathTooLong,
    /// An extended key usage without server authentication.
    #[error("the extended key usage of a certificate in its chain does not include server authentication")]
    KeyUsage,
    /// Forbidden by the name constraints of a certificate authority.
    #[error("a certificate authority in its chain does not allow its names")]
    NameConstraint,
    /// More than one chain.
    #[error("{0} different chains lead to roots of this MSP; exactly one must")]
    Several(usize),
    /// The search was given up.
    #[error("more than {CHAIN_SIGNATURE_CHECKS_MAX} signatures would have to be checked to find its chain")]
    TooManyChecks,
}

/// A certificate, its issuer, and so on up to a root. Never empty.
pub(crate) type Chain = Vec<Certificate>;

/// Root and intermediate certificates of one MSP.
#[derive(Debug, Clone, Default)]
pub(crate) struct CaTree {
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
}

impl CaTree {
    /// Repeated certificates count once.
    pub(crate) fn new(roots: Vec<Certificate>, intermediates: Vec<Certificate>) -> Self {
        Self { roots: without_repeats(roots), intermediates: without_repeats(intermediates) }
    }

    pub(crate) fn roots(&self) -> &[Certificate] {
        &self.roots
    }

    pub(crate) fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// The one chain from `certificate` to a root.
    pub(crate) fn unique_chain(&self, certificate: &Certificate) -> Result<Chain, ChainError> {
        let mut chains = Search::new(self, Some(certificate.not_before_unix_s() + 1)).run(certificate)?;
        keep_sound(&mut chains, check_server_usage)?;
        if chains.len() > 1 {
            return Err(ChainError::Several(chains.len()));
        }
        let chain = chains.pop().ok_or(ChainError::UnknownAuthority)?;
        check_host_name_without_alternative_names(&chain)?;
        Ok(chain)
    }

    /// Checks that some chain leads from a TLS certificate to a root, and that either a client or a server may use
    /// it. Validity is that at `now_unix_s`; without it no date is looked at.
    pub(crate) fn check_tls(&self, certificate: &Certificate, now_unix_s: Option<i64>) -> Result<(), ChainError> {
        let mut chains = Search::new(self, now_unix_s).run(certificate)?;
        keep_sound(&mut chains, check_tls_usage)
    }

    /// Rewrites the certificate's own signature to low-S. Only ECDSA-signed certificates are looked at; those must
    /// have a chain.
    pub(crate) fn sanitise(&self, certificate: &Certificate) -> Result<Certificate, SanitiseError> {
        if !certificate.is_ecdsa_signed() {
            return Ok(certificate.clone());
        }
        if certificate.is_ca() && certificate.is_signed_by(certificate) {
            let sanitised = certificate.sanitised_by(certificate)?;
            let alone = Self::new(vec![sanitised.clone()], Vec::new());
            alone.unique_chain(&sanitised)?;
            return Ok(sanitised);
        }
        let chain = self.unique_chain(certificate)?;
        // A listed root that has not signed itself: there is nobody to take the curve from.
        let issuer = chain.get(1).ok_or(SanitiseError::RootNotSelfSigned)?;
        Ok(certificate.sanitised_by(issuer)?)
    }
}

/// Why a certificate cannot be brought into the form in which identities are compared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SanitiseError {
    /// Its chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Listed as a root without having signed itself.
    #[error("it is listed as a root but is not signed by its own key, or may not sign certificates")]
    RootNotSelfSigned,
    /// Its bytes.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The identifier of a chain of certificate authorities: the hash over their concatenated DER.
pub(crate) fn certifiers_identifier(authorities: &[Certificate], algorithm: &'static digest::Algorithm) -> Digest {
    let mut context = digest::Context::new(algorithm);
    for authority in authorities {
        context.update(authority.der());
    }
    context.finish()
}

struct Search<'a> {
    tree: &'a CaTree,
    /// Without it no date is looked at.
    now_unix_s: Option<i64>,
    checks: usize,
    chains: Vec<Chain>,
    last_refusal: Option<ChainError>,
}

impl<'a> Search<'a> {
    fn new(tree: &'a CaTree, now_unix_s: Option<i64>) -> Self {
        Self { tree, now_unix_s, checks: 0, chains: Vec::new(), last_refusal: None }
    }

    /// All chains from the leaf to a root; at least one.
    fn run(mut self, leaf: &Certificate) -> Result<Vec<Chain>, ChainError> {
        self.check_alone(leaf)?;
        if self.tree.roots.contains(leaf) {
            self.chains.push(vec![leaf.clone()]);
        } else {
            self.extend(&vec![leaf.clone()])?;
        }
        if self.chains.is_empty() {
            return Err(self.last_refusal.unwrap_or(ChainError::UnknownAuthority));
        }
        Ok(self.chains)
    }

    /// Tries every authority that could have issued the last certificate of `chain`.
    fn extend(&mut self, chain: &Chain) -> Result<(), ChainError> {
        let Some(child) = chain.last() else {
            return Ok(());
        };
        for root in &self.tree.roots {
            if self.may_follow(chain, child, root)? && self.is_sound(chain, root, false) {
                self.chains.push(appended(chain, root));
            }
        }
        for intermediate in &self.tree.intermediates {
            if self.may_follow(chain, child, intermediate)? && self.is_sound(chain, intermediate, true) {
                self.extend(&appended(chain, intermediate))?;
            }
        }
        Ok(())
    }

    /// True if the names match and the candidate has signed the child; counts the check.
    fn may_follow(
        &mut self,
        chain: &[Certificate],
        child: &Certificate,
        candidate: &Certificate,
    ) -> Result<bool, ChainError> {
        if candidate.subject_der() != child.issuer_der() {
            return Ok(false);
        }
        self.checks += 1;
        if self.checks > CHAIN_SIGNATURE_CHECKS_MAX {
            return Err(ChainError::TooManyChecks);
        }
        Ok(!is_in_chain(chain, candidate) && child.is_signed_by(candidate))
    }

    /// The checks on one certificate authority above `chain`.
    fn is_sound(&mut self, chain: &[Certificate], authority: &Certificate, is_intermediate: bool) -> bool {
        let refusal = match self.check_alone(authority) {
            Err(error) => error,
            Ok(()) if is_intermediate && !authority.is_ca() => ChainError::NotAnAuthority,
            Ok(()) if !allows_path_length(authority, chain.len() - 1) => ChainError::PathTooLong,
            Ok(()) => return true,
        };
        self.last_refusal = Some(refusal);
        false
    }

    fn check_alone(&self, certificate: &Certificate) -> Result<(), ChainError> {
        if certificate.extensions().has_unhandled_critical {
            return Err(ChainError::CriticalExtension);
        }
        let validity = certificate.not_before_unix_s()..=certificate.not_after_unix_s();
        if self.now_unix_s.is_some_and(|now| !validity.contains(&now)) {
            return Err(ChainError::OutsideOfValidity);
        }
        Ok(())
    }
}

fn allows_path_length(authority: &Certificate, intermediates: usize) -> bool {
    let extensions = authority.extensions();
    match extensions.path_length_max {
        Some(maximum) if extensions.has_basic_constraints => intermediates <= maximum as usize,
        _ => true,
    }
}

/// Keeps the chains that pass the checks on complete ones; the last refusal if none does.
fn keep_sound(
    chains: &mut Vec<Chain>,
    check_usage: fn(&[Certificate]) -> Result<(), ChainError>,
) -> Result<(), ChainError> {
    let mut refusal = ChainError::UnknownAuthority;
    chains.retain(|chain| match check_usage(chain).and_then(|()| check_names(chain)) {
        Ok(()) => true,
        Err(error) => {
            refusal = error;
            false
        }
    });
    if chains.is_empty() { Err(refusal) } else { Ok(()) }
}

/// Every certificate of the chain may authenticate servers.
fn check_server_usage(chain: &[Certificate]) -> Result<(), ChainError> {
    let allows = |certificate: &Certificate| certificate.extensions().may_authenticate_servers;
    if chain.iter().all(allows) { Ok(()) } else { Err(ChainError::KeyUsage) }
}

/// Every certificate of the chain may authenticate servers, or every one may authenticate clients.
fn check_tls_usage(chain: &[Certificate]) -> Result<(), ChainError> {
    let allows = |certificate: &Certificate| certificate.extensions().may_authenticate_clients;
    if chain.iter().all(allows) { Ok(()) } else { check_server_usage(chain) }
}

/// Every authority of the chain allows the names of the certificates below it.
fn check_names(chain: &[Certificate]) -> Result<(), ChainError> {
    for (position, certificate) in chain.iter().enumerate() {
        let Some(names) = &certificate.extensions().alternative_names else {
            continue;
        };
        for authority in &chain[position + 1..] {
            if let Some(constraints) = &authority.extensions().name_constraints
                && !constraints.allow(names)
            {
                return Err(ChainError::NameConstraint);
            }
        }
    }
    Ok(())
}

/// A rule of old Go versions that Fabric keeps: under name constraints, a common name that looks like a host name needs
/// alternative names beside it.
fn check_host_name_without_alternative_names(chain: &[Certificate]) -> Result<(), ChainError> {
    let Some((leaf, authorities)) = chain.split_first() else {
        return Ok(());
    };
    let is_concerned = leaf.extensions().alternative_names.is_none() && leaf.common_name().is_some_and(is_host_name);
    let is_constrained = authorities.iter().any(|authority| authority.extensions().name_constraints.is_some());
    if is_concerned && is_constrained {
        return Err(ChainError::NameConstraint);
    }
    Ok(())
}

fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |(position, label): (usize, &str)| {
        position == 0 && label == "*"
            || !label.is_empty()
                && !label.starts_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':'))
    };
    !text.is_empty() && text.split('.').enumerate().all(is_label)
}

/// Equal subject, key and alternative names make two certificates the same link: cross-signed authorities cannot
/// form a loop.
fn is_in_chain(chain: &[Certificate], candidate: &Certificate) -> bool {
    let names =
        |certificate: &Certificate| certificate.extensions().alternative_names.as_ref().map(|names| names.raw.clone());
    chain.iter().any(|link| {
        link.subject_der() == candidate.subject_der()
            && link.spki_der() == candidate.spki_der()
            && names(link) == names(candidate)
    })
}

fn appended(chain: &[Certificate], certificate: &Certificate) -> Chain {
    let mut longer = chain.to_vec();
    longer.push(certificate.clone());
    longer
}

fn without_repeats(certificates: Vec<Certificate>) -> Vec<Certificate> {
    let mut seen: BTreeSet<Bytes> = BTreeSet::new();
    certificates.into_iter().filter(|certificate| seen.insert(certificate.der().clone())).collect()
}
