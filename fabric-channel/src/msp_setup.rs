//! Setting up an MSP from its definition in a channel configuration.
//!
//! Owns the checks by which Fabric refuses a definition, in Fabric's order: certificate authorities, revocation
//! lists, TLS authorities, organizational units, node OUs, admins. Contract §7.3, Appendix C 13.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use bytes::Bytes;
use fabric_proto::msp::{FabricCryptoConfig, FabricMspConfig, FabricOuIdentifier, MspConfig};
use prost::Message as _;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{CaTree, Chain, SanitiseError, certifiers_identifier};
use crate::crl::{CrlError, RevocationList};
use crate::identity::InvalidIdentity;
use crate::msp::{Msp, MspVersion};
use crate::node_ous::{NodeOus, OuIdentifier};
use crate::public_key::SigningHash;

/// Why an MSP definition is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MspError {
    /// The MSP type is not the X.509 one.
    #[error("MSP type {0} is not supported, only type 0 (X.509) is")]
    Type(i32),
    /// The definition does not parse.
    #[error("the MSP definition is not a FabricMSPConfig message")]
    Malformed,
    /// An MSP without a name.
    #[error("the MSP has an empty ID")]
    EmptyId,
    /// No root certificate.
    #[error("MSP {msp}: at least one root certificate is needed")]
    NoRoot {
        /// MSP ID.
        msp: String,
    },
    /// Something about one listed certificate.
    #[error("MSP {msp}: {what}: {why}")]
    Certificate {
        /// MSP ID.
        msp: String,
        /// Which list it stands in and whose it is.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A revocation list.
    #[error("MSP {msp}: revocation list {index}: {why}")]
    RevocationList {
        /// MSP ID.
        msp: String,
        /// Position in the list of lists, from zero.
        index: usize,
        /// What is wrong with it.
        why: CrlError,
    },
    /// A private key or signing identity in a channel configuration.
    #[error("MSP {msp}: a channel's MSP definition must not contain a signing identity")]
    SigningIdentity {
        /// MSP ID.
        msp: String,
    },
    /// The hash for identifiers.
    #[error("MSP {msp}: hash function {name:?} is not known")]
    HashFunction {
        /// MSP ID.
        msp: String,
        /// The name as configured.
        name: String,
    },
    /// Node OUs of an MSP before version 1.4.3 need both a client and a peer unit.
    #[error("MSP {msp}: node OUs need both a client and a peer organizational unit")]
    IncompleteNodeOus {
        /// MSP ID.
        msp: String,
    },
    /// Nobody could ever administer the organization.
    #[error("MSP {msp}: without admin certificates an admin organizational unit has to be enabled")]
    NoAdmins {
        /// MSP ID.
        msp: String,
    },
}

impl Msp {
    /// Sets up an MSP from its definition in the channel configuration.
    ///
    /// # Errors
    /// [`MspError`], for every definition that Fabric refuses and a few more (see the module).
    pub fn from_config(config: &MspConfig, version: MspVersion) -> Result<Self, MspError> {
        if config.r#type != TYPE_X509 {
            return Err(MspError::Type(config.r#type));
        }
        let config = FabricMspConfig::decode(config.config.clone()).map_err(|_| MspError::Malformed)?;
        let msp = config.name.as_str();
        if config.signing_identity.is_some() {
            return Err(MspError::SigningIdentity { msp: msp.into() });
        }
        let mut built = Self {
            id: config.name.clone(),
            version,
            authorities: read_authorities(&config)?,
            internal_authorities: BTreeSet::new(),
            revocation_lists: read_revocation_lists(&config)?,
            identifier_hash: identifier_hash_of(&config)?,
            signing_hash: signing_hash_of(&config),
            ou_identifiers: BTreeMap::new(),
            node_ous: NodeOus::default(),
            admins: Vec::new(),
            tls_authorities: CaTree::default(),
        };
        built.check_authorities()?;
        built.tls_authorities = built.read_tls_authorities(&config)?;
        built.ou_identifiers = built.read_ou_identifiers(&config)?;
        built.node_ous = built.read_node_ous(&config)?;
        built.admins = built.read_admins(&config)?;
        Ok(built)
    }

    /// Certificate authorities must be such, carry a key identifier, chain to a root and not be revoked.
    fn check_authorities(&mut self) -> Result<(), MspError> {
        let authorities = self.authorities.roots().iter();
        for authority in authorities.chain(self.authorities.intermediates()) {
            self.check_authority(authority, &self.authorities)
                .map_err(|why| self.refuse("certificate authority", authority, why))?;
        }
        let mut internal = BTreeSet::new();
        for intermediate in self.authorities.intermediates() {
            let chain = self
                .authorities
                .unique_chain(intermediate)
                .map_err(|why| self.refuse("certificate authority", intermediate, why))?;
            internal.extend(chain.into_iter().skip(1).map(|link| link.der().clone()));
        }
        self.internal_authorities = internal;
        Ok(())
    }

    fn check_authority(&self, authority: &Certificate, tree: &CaTree) -> Result<(), InvalidIdentity> {
        if !authority.is_ca() {
            return Err(InvalidIdentity::NotAnAuthority);
        }
        if authority.subject_key_id().is_none() {
            return Err(InvalidIdentity::NoSubjectKeyId);
        }
        let chain = tree.unique_chain(authority)?;
        self.check_revocation(authority, &chain)
    }

    fn read_tls_authorities(&self, config: &FabricMspConfig) -> Result<CaTree, MspError> {
        let read = |list: &[Bytes], what: &str| -> Result<Vec<Certificate>, MspError> {
            list.iter().enumerate().map(|(index, pem)| read_certificate(pem, &self.id, what, index)).collect()
        };
        let tree = CaTree::new(
            read(&config.tls_root_certs, "TLS root certificate")?,
            read(&config.tls_intermediate_certs, "TLS intermediate certificate")?,
        );
        for authority in tree.roots().iter().chain(tree.intermediates()) {
            self.check_authority(authority, &tree)
                .map_err(|why| self.refuse("TLS certificate authority", authority, why))?;
        }
        Ok(tree)
    }

    fn read_ou_identifiers(&self, config: &FabricMspConfig) -> Result<BTreeMap<String, Vec<Bytes>>, MspError> {
        let mut identifiers: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
        for unit in &config.organizational_unit_identifiers {
            let certifiers = self.certifiers_of(&unit.certificate)?;
            identifiers.entry(unit.organizational_unit_identifier.clone()).or_default().push(certifiers);
        }
        Ok(identifiers)
    }

    fn read_node_ous(&self, config: &FabricMspConfig) -> Result<NodeOus, MspError> {
        let Some(node_ous) = &config.fabric_node_ous else {
            return Ok(NodeOus::default());
        };
        if self.version == MspVersion::V1_0 {
            return Ok(NodeOus::default());
        }
        let client = self.read_node_ou(node_ous.client_ou_identifier.as_ref())?;
        let peer = self.read_node_ou(node_ous.peer_ou_identifier.as_ref())?;
        if self.version < MspVersion::V1_4_3 {
            let is_named = |unit: &Option<OuIdentifier>| unit.as_ref().is_some_and(|ou| !ou.name().is_empty());
            if !is_named(&client) || !is_named(&peer) {
                return Err(MspError::IncompleteNodeOus { msp: self.id.clone() });
            }
            return Ok(NodeOus::new(node_ous.enable, client, peer, None, None));
        }
        let admin = self.read_node_ou(node_ous.admin_ou_identifier.as_ref())?;
        let orderer = self.read_node_ou(node_ous.orderer_ou_identifier.as_ref())?;
        Ok(NodeOus::new(node_ous.enable, client, peer, admin, orderer))
    }

    fn read_node_ou(&self, unit: Option<&FabricOuIdentifier>) -> Result<Option<OuIdentifier>, MspError> {
        let Some(unit) = unit else {
            return Ok(None);
        };
        // Without a certificate any chain of this MSP may vouch for the unit.
        let certifiers = match unit.certificate.is_empty() {
            true => Bytes::new(),
            false => self.certifiers_of(&unit.certificate)?,
        };
        let name = &unit.organizational_unit_identifier;
        Ok(Some(OuIdentifier::new(name, &certifiers)))
    }

    /// The identifier of the chain that begins with a listed certificate authority.
    fn certifiers_of(&self, pem: &[u8]) -> Result<Bytes, MspError> {
        let what = "certificate of an organizational unit";
        let certificate = read_certificate(pem, &self.id, what, 0)?;
        let certificate =
            self.authorities.sanitise(&certificate).map_err(|why| self.refuse(what, &certificate, why))?;
        let chain = if self.authorities.roots().contains(&certificate) {
            vec![certificate]
        } else if self.authorities.intermediates().contains(&certificate) {
            self.intermediate_chain(&certificate).map_err(|why| self.refuse(what, &certificate, why))?
        } else {
            let why = "it is neither a root nor an intermediate certificate of the MSP";
            return Err(self.refuse(what, &certificate, why));
        };
        let identifier = certifiers_identifier(&chain, self.identifier_hash);
        Ok(Bytes::copy_from_slice(identifier.as_ref()))
    }

    fn intermediate_chain(&self, authority: &Certificate) -> Result<Chain, InvalidIdentity> {
        let chain = self.authorities.unique_chain(authority)?;
        if self.is_internal(authority) {
            return Err(InvalidIdentity::IssuerIsInternal);
        }
        Ok(chain)
    }

    /// Admin certificates, which have to be valid members and, under node OUs, clients or admins.
    fn read_admins(&self, config: &FabricMspConfig) -> Result<Vec<Certificate>, MspError> {
        let mut admins = Vec::new();
        for (index, pem) in config.admins.iter().enumerate() {
            let certificate = read_certificate(pem, &self.id, "admin certificate", index)?;
            let certificate = self
                .authorities
                .sanitise(&certificate)
                .map_err(|why| self.refuse("admin certificate", &certificate, why))?;
            self.check_admin(&certificate).map_err(|why| self.refuse("admin certificate", &certificate, why))?;
            admins.push(certificate);
        }
        let needs_admins = self.version >= MspVersion::V1_4_3 && !self.node_ous.marks_admins();
        if admins.is_empty() && needs_admins {
            return Err(MspError::NoAdmins { msp: self.id.clone() });
        }
        Ok(admins)
    }

    fn check_admin(&self, certificate: &Certificate) -> Result<(), InvalidIdentity> {
        if !self.node_ous.is_enabled() {
            return self.judge(certificate);
        }
        let chain = self.identity_chain(certificate).unwrap_or_default();
        let marked = self.node_ous.roles(&self.units_under(certificate, &chain));
        if self.version >= MspVersion::V1_4_3 {
            let may_administer = marked.client || marked.admin;
            return may_administer.then_some(()).ok_or(InvalidIdentity::AdminWithoutRole);
        }
        self.judge(certificate)?;
        marked.client.then_some(()).ok_or(InvalidIdentity::AdminWithoutRole)
    }

    fn refuse(&self, what: &str, certificate: &Certificate, why: impl ToString) -> MspError {
        MspError::Certificate {
            msp: self.id.clone(),
            what: format!("{what} {:?}", certificate.subject_text()),
            why: why.to_string(),
        }
    }
}

/// Roots and intermediates, each sanitised under the certificates as they are listed.
fn read_authorities(config: &FabricMspConfig) -> Result<CaTree, MspError> {
    let msp = config.name.as_str();
    if config.root_certs.is_empty() {
        return Err(MspError::NoRoot { msp: msp.into() });
    }
    let read = |list: &[Bytes], what: &str| -> Result<Vec<Certificate>, MspError> {
        list.iter().enumerate().map(|(index, pem)| read_certificate(pem, msp, what, index)).collect()
    };
    let listed = CaTree::new(
        read(&config.root_certs, "root certificate")?,
        read(&config.intermediate_certs, "intermediate certificate")?,
    );
    let sanitise = |list: &[Certificate], what: &str| -> Result<Vec<Certificate>, MspError> {
        list.iter()
            .map(|certificate| {
                listed.sanitise(certificate).map_err(|why: SanitiseError| MspError::Certificate {
                    msp: msp.into(),
                    what: format!("{what} {:?}", certificate.subject_text()),
                    why: why.to_string(),
                })
            })
            .collect()
    };
    Ok(CaTree::new(
        sanitise(listed.roots(), "root certificate")?,
        sanitise(listed.intermediates(), "intermediate certificate")?,
    ))
}

fn read_certificate(pem: &[u8], msp: &str, what: &str, index: usize) -> Result<Certificate, MspError> {
    Certificate::from_pem(pem).map_err(|why: CertificateError| MspError::Certificate {
        msp: msp.into(),
        what: format!("{what} {index}"),
        why: why.to_string(),
    })
}

fn read_revocation_lists(config: &FabricMspConfig) -> Result<Vec<RevocationList>, MspError> {
    config
        .revocation_list
        .iter()
        .enumerate()
        .map(|(index, bytes)| {
            RevocationList::parse(bytes).map_err(|why| MspError::RevocationList {
                msp: config.name.clone(),
                index,
                why,
            })
        })
        .collect()
}

fn identifier_hash_of(config: &FabricMspConfig) -> Result<&'static digest::Algorithm, MspError> {
    match crypto_config(config).identity_identifier_hash_function.as_str() {
        "" | "SHA256" => Ok(&digest::SHA256),
        "SHA384" => Ok(&digest::SHA384),
        "SHA3_256" => Ok(&digest::SHA3_256),
        "SHA3_384" => Ok(&digest::SHA3_384),
        name => Err(MspError::HashFunction { msp: config.name.clone(), name: name.to_owned() }),
    }
}

fn signing_hash_of(config: &FabricMspConfig) -> SigningHash {
    match crypto_config(config).signature_hash_family.as_str() {
        "" | "SHA2" => SigningHash::Sha256,
        "SHA3" => SigningHash::Sha3,
        _ => SigningHash::Unknown,
    }
}

fn crypto_config(config: &FabricMspConfig) -> FabricCryptoConfig {
    config.crypto_config.clone().unwrap_or_default()
}

const TYPE_X509: i32 = 0;
