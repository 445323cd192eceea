//! The MSPs of one channel, by ID.
//!
//! Every organization of the channel brings one; the same ID may stand in several groups if the definitions are equal.
//! An identity that has been read and found valid is remembered by the bytes it came as: whoever signs again costs no
//! certificate and no chain. Clones remember together; a new configuration has new MSPs, which begin with nothing.
//! Contract §2.7 (last rules), §7.3.

use std::collections::{BTreeMap, BTreeSet};

use fabric_proto::msp::{MspConfig, SerializedIdentity};
use prost::Message as _;
use thiserror::Error;

use crate::identity::{self, Identity, IdentityError, IdentityKey};
use crate::known_identities::KnownIdentities;
use crate::msp::{Msp, MspVersion};
use crate::msp_setup::MspError;

/// All MSPs of a channel.
#[derive(Debug, Clone)]
pub struct Msps {
    version: MspVersion,
    members: BTreeMap<String, Member>,
    known: KnownIdentities,
}

#[derive(Debug, Clone)]
struct Member {
    definition: MspConfig,
    /// Absent for Idemix, whose identities are not read here.
    msp: Option<Msp>,
}

/// Why an MSP cannot join the others.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MspsError {
    /// Its own definition.
    #[error(transparent)]
    Msp(#[from] MspError),
    /// Two different definitions under one ID.
    #[error("two different definitions of MSP {0:?}")]
    Conflict(String),
    /// Idemix cannot exist on channels with capability V3_0.
    #[error("Idemix MSPs are not possible on a channel with capability V3_0")]
    IdemixUnderV3,
}

impl Msps {
    /// No MSPs yet.
    #[must_use]
    pub fn new(version: MspVersion) -> Self {
        Self { version, members: BTreeMap::new(), known: KnownIdentities::default() }
    }

    /// The behaviour level all MSPs of the channel share.
    #[must_use]
    pub fn version(&self) -> MspVersion {
        self.version
    }

    /// Adds the MSP of an organization and returns its ID.
    ///
    /// # Errors
    /// [`MspsError`].
    pub fn add(&mut self, definition: &MspConfig) -> Result<String, MspsError> {
        let (id, msp) = match definition.r#type {
            TYPE_IDEMIX => (self.idemix_id(definition)?, None),
            _ => {
                let msp = Msp::from_config(definition, self.version)?;
                (msp.id().to_owned(), Some(msp))
            }
        };
        if let Some(known) = self.members.get(&id) {
            if known.definition != *definition {
                return Err(MspsError::Conflict(id));
            }
        } else {
            // From here on this is another set of MSPs than that of any clone.
            self.known = KnownIdentities::default();
            let definition = definition.clone();
            self.members.insert(id.clone(), Member { definition, msp });
        }
        if id.is_empty() {
            return Err(MspError::EmptyId.into());
        }
        Ok(id)
    }

    fn idemix_id(&self, definition: &MspConfig) -> Result<String, MspsError> {
        if self.version >= MspVersion::V3_0 {
            return Err(MspsError::IdemixUnderV3);
        }
        // Only the name is of interest, which has the same field number as in an X.509 definition.
        let named = IdemixName::decode(definition.config.clone()).map_err(|_| MspError::Malformed)?;
        Ok(named.name)
    }

    /// The X.509 MSP with this ID.
    #[must_use]
    pub fn msp(&self, id: &str) -> Option<&Msp> {
        self.members.get(id)?.msp.as_ref()
    }

    /// All X.509 MSPs in order of their IDs.
    pub fn iter(&self) -> impl Iterator<Item = &Msp> {
        self.members.values().filter_map(|member| member.msp.as_ref())
    }

    /// How many identities are remembered; at most [`crate::limits::KNOWN_IDENTITIES_MAX`].
    #[must_use]
    pub fn known_identities(&self) -> usize {
        self.known.len()
    }

    /// Reads a marshalled `SerializedIdentity`, the creator of a signature for example.
    ///
    /// # Errors
    /// [`IdentityError`]. A readable but invalid identity is no error; see [`Msp::deserialise`].
    pub fn deserialise(&self, serialised: &[u8]) -> Result<Identity, IdentityError> {
        if let Some(identity) = self.known.get(serialised) {
            return Ok(identity);
        }
        let parts = SerializedIdentity::decode(serialised).map_err(|_| IdentityError::Malformed)?;
        let identity = self.read(&parts.mspid, &parts.id_bytes)?;
        self.known.keep(serialised, &identity);
        Ok(identity)
    }

    /// Reads an identity from its MSP ID and its PEM certificate.
    ///
    /// # Errors
    /// [`IdentityError`], as for [`Self::deserialise`].
    pub fn identity(&self, msp_id: &str, id_bytes: &[u8]) -> Result<Identity, IdentityError> {
        self.deserialise(&identity::serialise(msp_id, id_bytes))
    }

    fn read(&self, msp_id: &str, id_bytes: &[u8]) -> Result<Identity, IdentityError> {
        match self.members.get(msp_id) {
            None => Err(IdentityError::UnknownMsp(msp_id.to_owned())),
            Some(Member { msp: None, .. }) => Err(IdentityError::UnsupportedMsp(msp_id.to_owned())),
            Some(Member { msp: Some(msp), .. }) => msp.deserialise(id_bytes),
        }
    }

    /// The identities whose signatures are good, each once, in the order of the first good signature of each.
    ///
    /// This is the first half of every policy evaluation (contract §2.8): unreadable identities are passed over, an
    /// identity that has already been accepted is not verified again, and a bad signature does not shadow a later
    /// good one of the same identity.
    #[must_use]
    pub fn distinct_signers(&self, signed: &[SignedData<'_>]) -> Vec<Identity> {
        let mut keys: BTreeSet<IdentityKey> = BTreeSet::new();
        let mut accepted = Vec::new();
        for entry in signed {
            let Ok(identity) = self.deserialise(entry.identity) else {
                continue;
            };
            if keys.contains(identity.key()) {
                continue;
            }
            if identity.verify(entry.data, entry.signature).is_ok() {
                keys.insert(identity.key().clone());
                accepted.push(identity);
            }
        }
        accepted
    }
}

/// A signature with what it covers and who claims to have made it.
#[derive(Debug, Clone, Copy)]
pub struct SignedData<'a> {
    /// The signed bytes.
    pub data: &'a [u8],
    /// A marshalled `SerializedIdentity`.
    pub identity: &'a [u8],
    /// The signature value.
    pub signature: &'a [u8],
}

/// The one field of an Idemix definition that is read.
#[derive(Clone, PartialEq, prost::Message)]
struct IdemixName {
    #[prost(string, tag = "1")]
    name: String,
}

const TYPE_IDEMIX: i32 = 1;
