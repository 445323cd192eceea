//! From consenters to what an ordering group and its connections need.
//!
//! Replicas recognise each other by pinned public keys, not by a certificate authority: a renewed certificate with
//! the same key goes on working, a certificate that an authority issued to somebody else does not.

use bytes::Bytes;

use crate::certificate::Certificate;
use crate::config::ChannelConfig;
use crate::consenter::Consenter;

/// One member of an ordering group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Consenter id.
    pub id: u32,
    /// `SubjectPublicKeyInfo` in DER of the key it is recognised by; see [`Consenter::pinned_key`].
    pub pinned_key: Bytes,
}

impl ChannelConfig {
    /// The members of the ordering group of this channel, sorted by id. Channels with equal members can share a group.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let member = |consenter: &Consenter| Member { id: consenter.id, pinned_key: consenter.pinned_key().clone() };
        self.consenters().iter().map(member).collect()
    }

    /// The consenter with this id.
    #[must_use]
    pub fn consenter(&self, id: u32) -> Option<&Consenter> {
        self.consenters().iter().find(|consenter| consenter.id == id)
    }

    /// The consenter whose identity has this public key (`SubjectPublicKeyInfo` in DER). None on type etcdraft,
    /// which knows no identities.
    #[must_use]
    pub fn consenter_by_identity_key(&self, spki_der: &[u8]) -> Option<&Consenter> {
        self.consenters().iter().find(|consenter| {
            let identity = consenter.identity.as_ref();
            identity.is_some_and(|identity| identity.certificate.spki_der() == spki_der)
        })
    }

    /// The consenter whose client or server TLS certificate has the public key of this one.
    #[must_use]
    pub fn consenter_by_tls_cert(&self, certificate: &Certificate) -> Option<&Consenter> {
        let key = certificate.spki_der();
        self.consenters().iter().find(|consenter| {
            consenter.server_tls_cert.spki_der() == key || consenter.client_tls_cert.spki_der() == key
        })
    }
}
