//! Where cryptogen's layout keeps what: a folder of keys of one organisation with orderers and one with peers and users.

use std::path::{Path, PathBuf};

use crate::administration::Person;
use crate::material::{ORDERER_MSP_ID, PEER_MSP_ID};

/// The folder that holds `ordererOrganizations` and `peerOrganizations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoFolder(PathBuf);

impl CryptoFolder {
    /// The one at this path.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Of an orderer, counted from 1: `msp` and `tls` are in it.
    #[must_use]
    pub fn orderer(&self, id: u32) -> PathBuf {
        self.0.join(format!("ordererOrganizations/{ORDERER_DOMAIN}/orderers/o{id}.{ORDERER_DOMAIN}"))
    }

    /// The authority of the orderers' server certificates.
    #[must_use]
    pub fn tls_authority(&self) -> PathBuf {
        self.orderer(1).join("tls/ca.crt")
    }

    /// The MSP, without private keys, of the organisation that runs the orderers.
    #[must_use]
    pub fn orderers_msp(&self) -> PathBuf {
        self.0.join(format!("ordererOrganizations/{ORDERER_DOMAIN}/msp"))
    }

    /// The MSP, without private keys, of the organisation that has users.
    #[must_use]
    pub fn peers_msp(&self) -> PathBuf {
        self.0.join(format!("peerOrganizations/{PEER_DOMAIN}/msp"))
    }

    /// The only peer: `msp` and `tls` are in it.
    #[must_use]
    pub fn peer(&self) -> PathBuf {
        self.0.join(format!("peerOrganizations/{PEER_DOMAIN}/peers/peer0.{PEER_DOMAIN}"))
    }

    /// The administrator of the organisation that runs the orderers.
    #[must_use]
    pub fn orderer_administrator(&self) -> Person {
        let users = self.0.join(format!("ordererOrganizations/{ORDERER_DOMAIN}/users"));
        (users.join(format!("Admin@{ORDERER_DOMAIN}/msp")), ORDERER_MSP_ID)
    }

    /// The administrator of the organisation that has users.
    #[must_use]
    pub fn peer_administrator(&self) -> Person {
        self.peer_user("Admin")
    }

    /// User1 of the organisation that has users.
    #[must_use]
    pub fn user(&self) -> Person {
        self.peer_user("User1")
    }

    fn peer_user(&self, name: &str) -> Person {
        let users = self.0.join(format!("peerOrganizations/{PEER_DOMAIN}/users"));
        (users.join(format!("{name}@{PEER_DOMAIN}/msp")), PEER_MSP_ID)
    }
}

/// Domain of the organisation that runs the orderers.
pub(crate) const ORDERER_DOMAIN: &str = "orderer.example.com";
/// Domain of the organisation that has users.
pub(crate) const PEER_DOMAIN: &str = "org1.example.com";
