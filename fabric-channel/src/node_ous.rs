//! Organizational units that carry a meaning: which ones mark clients, peers, admins and orderers.
//!
//! With node OUs enabled, every identity of the MSP has exactly one such unit, vouched for by the right chain.
//! Contract §7.4 step 5.

use bytes::Bytes;

use crate::identity::InvalidIdentity;
use crate::msp::MspVersion;

/// An organizational unit and the chain that vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuIdentifier {
    name: String,
    certifiers: Bytes,
}

impl OuIdentifier {
    pub(crate) fn new(name: &str, certifiers: &[u8]) -> Self {
        Self { name: name.to_owned(), certifiers: Bytes::copy_from_slice(certifiers) }
    }

    /// The unit's name as it stands in certificates.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hash over the certificates of the vouching chain; empty in a node OU means that any chain will do.
    #[must_use]
    pub fn certifiers(&self) -> &Bytes {
        &self.certifiers
    }
}

/// The node OUs of an MSP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeOus {
    is_enabled: bool,
    client: Option<OuIdentifier>,
    peer: Option<OuIdentifier>,
    admin: Option<OuIdentifier>,
    orderer: Option<OuIdentifier>,
}

/// Which node OUs an identity carries by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MarkedRoles {
    pub(crate) client: bool,
    pub(crate) peer: bool,
    pub(crate) admin: bool,
    pub(crate) orderer: bool,
}

impl NodeOus {
    /// Node OUs without a single unit are off, whatever the switch says.
    pub(crate) fn new(
        enable: bool,
        client: Option<OuIdentifier>,
        peer: Option<OuIdentifier>,
        admin: Option<OuIdentifier>,
        orderer: Option<OuIdentifier>,
    ) -> Self {
        let has_units = [&client, &peer, &admin, &orderer].iter().any(|unit| unit.is_some());
        Self { is_enabled: enable && has_units, client, peer, admin, orderer }
    }

    /// True if identities are told apart by organizational units.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// True if an organizational unit makes an admin.
    pub(crate) fn marks_admins(&self) -> bool {
        self.is_enabled && self.admin.is_some()
    }

    /// The roles that units stand for, by name alone; none while node OUs are off.
    pub(crate) fn roles(&self, units: &[OuIdentifier]) -> MarkedRoles {
        let carries = |role: &Option<OuIdentifier>| {
            self.is_enabled && role.as_ref().is_some_and(|role| units.iter().any(|unit| unit.name == role.name))
        };
        MarkedRoles {
            client: carries(&self.client),
            peer: carries(&self.peer),
            admin: carries(&self.admin),
            orderer: carries(&self.orderer),
        }
    }

    /// Exactly one unit has to mark a role, with a matching chain.
    pub(crate) fn check(&self, units: &[OuIdentifier], version: MspVersion) -> Result<(), InvalidIdentity> {
        if !self.is_enabled {
            return Ok(());
        }
        let mut marks = 0;
        for unit in units {
            let Some(role) = self.role_named(&unit.name, version) else {
                continue;
            };
            if !role.certifiers.is_empty() && role.certifiers != unit.certifiers {
                return Err(InvalidIdentity::CertifierMismatch);
            }
            marks += 1;
            if marks > 1 {
                return Err(InvalidIdentity::SeveralRoles);
            }
        }
        if marks == 0 {
            return Err(InvalidIdentity::NoRole);
        }
        Ok(())
    }

    /// Where several roles share a unit's name, old versions take the first of them and newer ones the last.
    fn role_named(&self, name: &str, version: MspVersion) -> Option<&OuIdentifier> {
        let in_order = [&self.client, &self.peer, &self.admin, &self.orderer];
        let mut named = in_order.into_iter().flatten().filter(|role| role.name == name);
        if version < MspVersion::V1_4_3 { named.next() } else { named.next_back() }
    }
}
