//! A membership service provider: the certificate authorities of one organization and the rules by which its
//! members are known.
//!
//! Owns the judgement over one certificate: whether it is an identity of the organization, and in which roles.
//! Behaviour differs by [`MspVersion`], which follows from the channel capabilities. Contract §7.3, §7.4, Appendix
//! C 13 and 14.
//!
//! Covered: chains, revocation lists, MSP-level organizational units, node OUs, admin certificates, TLS
//! authorities. Left out, always in the direction of refusing: Idemix, private keys inside the configuration.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use bytes::Bytes;

use crate::certificate::Certificate;
use crate::chain::{CaTree, Chain, ChainError, certifiers_identifier};
use crate::crl::RevocationList;
use crate::identity::{Identity, IdentityError, InvalidIdentity, Roles};
use crate::node_ous::{NodeOus, OuIdentifier};
use crate::public_key::{KeyAlgorithm, SigningHash};

/// Levels of MSP behaviour, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MspVersion {
    /// Without channel capabilities.
    V1_0,
    /// From channel capability V1_1.
    V1_1,
    /// From channel capability V1_3.
    V1_3,
    /// From channel capability V1_4_3 or V2_0.
    V1_4_3,
    /// From channel capability V3_0.
    V3_0,
}

/// One organization's MSP, ready to judge identities.
#[derive(Debug, Clone)]
pub struct Msp {
    pub(crate) id: String,
    pub(crate) version: MspVersion,
    pub(crate) authorities: CaTree,
    /// Certificates that have issued another certificate authority: they may not issue identities as well.
    pub(crate) internal_authorities: BTreeSet<Bytes>,
    pub(crate) revocation_lists: Vec<RevocationList>,
    pub(crate) identifier_hash: &'static digest::Algorithm,
    pub(crate) signing_hash: SigningHash,
    pub(crate) ou_identifiers: BTreeMap<String, Vec<Bytes>>,
    pub(crate) node_ous: NodeOus,
    pub(crate) admins: Vec<Certificate>,
    pub(crate) tls_authorities: CaTree,
}

impl Msp {
    /// The MSP ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The behaviour level.
    #[must_use]
    pub fn version(&self) -> MspVersion {
        self.version
    }

    /// Root certificates, sanitised.
    #[must_use]
    pub fn roots(&self) -> &[Certificate] {
        self.authorities.roots()
    }

    /// Intermediate certificates, sanitised.
    #[must_use]
    pub fn intermediates(&self) -> &[Certificate] {
        self.authorities.intermediates()
    }

    /// Certificates listed as administrators, sanitised.
    #[must_use]
    pub fn admins(&self) -> &[Certificate] {
        &self.admins
    }

    /// Root certificates for TLS.
    #[must_use]
    pub fn tls_roots(&self) -> &[Certificate] {
        self.tls_authorities.roots()
    }

    /// Intermediate certificates for TLS.
    #[must_use]
    pub fn tls_intermediates(&self) -> &[Certificate] {
        self.tls_authorities.intermediates()
    }

    /// The units that mark clients, peers, admins and orderers.
    #[must_use]
    pub fn node_ous(&self) -> &NodeOus {
        &self.node_ous
    }

    /// True if a TLS certificate was issued under this organization's TLS authorities.
    #[must_use]
    pub fn has_issued_tls(&self, certificate: &Certificate) -> bool {
        self.tls_authorities.unique_chain(certificate).is_ok()
    }

    /// Reads the certificate of an identity of this MSP and judges it.
    ///
    /// # Errors
    /// [`IdentityError`] if nothing can be said about it at all. An identity that is readable but not valid is
    /// returned: it takes part in policy evaluation, where it satisfies next to nothing.
    pub fn deserialise(&self, id_bytes: &[u8]) -> Result<Identity, IdentityError> {
        let certificate = Certificate::from_pem(id_bytes)?;
        let certificate = self.authorities.sanitise(&certificate)?;
        let identifier = digest::digest(self.identifier_hash, certificate.der());
        let chain = self.identity_chain(&certificate);
        let units = self.units_under(&certificate, chain.as_deref().unwrap_or_default());
        let judgement = self.judge_under(&certificate, chain, &units);
        Ok(Identity::new(
            self.id.clone(),
            identifier.as_ref(),
            self.roles_of(&certificate, judgement.is_ok(), &units),
            units,
            judgement,
            self.signing_hash,
            certificate,
        ))
    }

    /// The rules of contract §7.4 that make an identity valid.
    pub(crate) fn judge(&self, certificate: &Certificate) -> Result<(), InvalidIdentity> {
        let chain = self.identity_chain(certificate);
        let units = self.units_under(certificate, chain.as_deref().unwrap_or_default());
        self.judge_under(certificate, chain, &units)
    }

    /// The same rules, in Fabric's order, with chain and units already at hand.
    fn judge_under(
        &self,
        certificate: &Certificate,
        chain: Result<Chain, InvalidIdentity>,
        units: &[OuIdentifier],
    ) -> Result<(), InvalidIdentity> {
        self.check_key(certificate)?;
        self.check_revocation(certificate, &chain?)?;
        self.check_msp_units(units)?;
        self.node_ous.check(units, self.version)
    }

    fn check_key(&self, certificate: &Certificate) -> Result<(), InvalidIdentity> {
        match certificate.public_key().algorithm() {
            KeyAlgorithm::Ecdsa(_) => Ok(()),
            KeyAlgorithm::Ed25519 if self.version >= MspVersion::V3_0 => Ok(()),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa => Err(InvalidIdentity::KeyAlgorithm),
        }
    }

    /// The chain of a certificate that is to be an identity: not an authority itself, and issued at the edge of the
    /// tree.
    pub(crate) fn identity_chain(&self, certificate: &Certificate) -> Result<Chain, InvalidIdentity> {
        if certificate.is_ca() {
            return Err(InvalidIdentity::CertificateAuthority);
        }
        let chain = self.authorities.unique_chain(certificate)?;
        match chain.get(1) {
            None => Err(ChainError::UnknownAuthority.into()),
            Some(issuer) if self.is_internal(issuer) => Err(InvalidIdentity::IssuerIsInternal),
            Some(_) => Ok(chain),
        }
    }

    pub(crate) fn is_internal(&self, authority: &Certificate) -> bool {
        self.internal_authorities.contains(authority.der())
    }

    pub(crate) fn check_revocation(
        &self,
        certificate: &Certificate,
        chain: &[Certificate],
    ) -> Result<(), InvalidIdentity> {
        let Some(issuer) = chain.get(1) else {
            return Ok(());
        };
        for list in &self.revocation_lists {
            if list.revokes(certificate, issuer)? {
                return Err(InvalidIdentity::Revoked);
            }
        }
        Ok(())
    }

    fn check_msp_units(&self, units: &[OuIdentifier]) -> Result<(), InvalidIdentity> {
        if self.ou_identifiers.is_empty() {
            return Ok(());
        }
        let is_listed = |unit: &OuIdentifier| {
            self.ou_identifiers.get(unit.name()).is_some_and(|certifiers| certifiers.contains(unit.certifiers()))
        };
        if units.iter().any(is_listed) {
            return Ok(());
        }
        if units.is_empty() {
            return Err(InvalidIdentity::NoOrganizationalUnit);
        }
        Err(InvalidIdentity::UnitNotInMsp)
    }

    /// The units of a certificate together with the identifier of the chain that vouches for them; none without a
    /// chain.
    pub(crate) fn units_under(&self, certificate: &Certificate, chain: &[Certificate]) -> Vec<OuIdentifier> {
        let Some((_, authorities)) = chain.split_first() else {
            return Vec::new();
        };
        let certifiers = certifiers_identifier(authorities, self.identifier_hash);
        certificate.organizational_units().iter().map(|name| OuIdentifier::new(name, certifiers.as_ref())).collect()
    }

    fn roles_of(&self, certificate: &Certificate, is_valid: bool, units: &[OuIdentifier]) -> Roles {
        let is_listed_admin = self.admins.contains(certificate);
        let marked = self.node_ous.roles(units);
        let knows_all_roles = self.version >= MspVersion::V1_4_3;
        Roles {
            member: is_valid,
            admin: is_listed_admin || knows_all_roles && is_valid && marked.admin,
            client: is_valid && marked.client,
            peer: is_valid && marked.peer,
            orderer: knows_all_roles && is_valid && marked.orderer,
        }
    }
}
