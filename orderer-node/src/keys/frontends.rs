//! The frontends this node serves: who was admitted, under which certificate.
//!
//! A frontend is admitted when the key of a TLS certificate of an orderer organisation vouches for it. The table is
//! bounded twice. One certificate has few frontends, because a frontend makes a new key at every start: the one that was
//! silent longest gives way to a new one, so a certificate that asks for many displaces only its own. And there is a
//! bound on all, where the frontend that was silent longest gives way. Nobody gives way to a frontend that has not come
//! itself: what others remember must not displace who is here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use bytes::Bytes;
use fabric_channel::{Certificate, CertificateError, Msp};
use frontend_shim::keys::{Credential, KeyError};
use mod_smart::{FrontendId, GroupId, Signature};

/// Frontends that can be admitted at a time.
pub const FRONTENDS_MAX: usize = 1024;

/// Frontends of one certificate that can be admitted at a time. A frontend has a new name after every start, and what was
/// acknowledged to an earlier one must still be believed, so this is how many starts in a row may leave requests behind.
pub const FRONTENDS_PER_CERTIFICATE_MAX: usize = 64;

/// Why a frontend is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// The credential does not hold together.
    #[error(transparent)]
    Credential(#[from] KeyError),
    /// Its certificate does not parse as Fabric reads certificates.
    #[error("the credential's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// No orderer organisation issued the certificate.
    #[error("no orderer organisation's TLS authority issued the certificate of {0}")]
    Authority(String),
    /// The certificate is too old.
    #[error("the certificate of {0} has expired")]
    Expired(String),
    /// The frontend's key is not a key.
    #[error("frontend {0} is named by bytes that are no Ed25519 key")]
    Name(FrontendId),
    /// Others only say that there is such a frontend, and there is no room for it.
    #[error("too many frontends to take another on hearsay")]
    Full,
    /// Another certificate has already vouched for this frontend.
    #[error("frontend {0} belongs to another certificate")]
    Taken(FrontendId),
}

/// The table. Read by every verification, replaced whole by the rare changes; the owner makes one change at a time.
pub(super) struct Frontends {
    group: GroupId,
    authorities: ArcSwap<Vec<Msp>>,
    table: ArcSwap<Table>,
    /// Counts admissions: the clock by which silence is measured.
    admissions: AtomicU64,
}

type Table = BTreeMap<FrontendId, Arc<Admitted>>;

struct Admitted {
    credential: Credential,
    /// The key of its certificate, whatever certificate that is.
    owner: Bytes,
    key: ParsedPublicKey,
    /// When it last sealed something, by the count of admissions.
    heard: AtomicU64,
}

/// A frontend whose credential was checked.
pub(super) struct Newcomer {
    credential: Credential,
    owner: Bytes,
    key: ParsedPublicKey,
}

/// What happens to the others when the table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// The most silent one gives way.
    Make,
    /// Nothing: there is no room then.
    Free,
}

impl Frontends {
    pub(super) fn new(group: GroupId, authorities: Vec<Msp>) -> Self {
        Self {
            group,
            authorities: ArcSwap::from_pointee(authorities),
            table: ArcSwap::default(),
            admissions: AtomicU64::new(0),
        }
    }

    /// Did an admitted frontend sign this?
    pub(super) fn verify(&self, frontend: FrontendId, message: &[u8], signature: &Signature) -> bool {
        let table = self.table.load();
        let Some(admitted) = table.get(&frontend) else { return false };
        if admitted.key.verify_sig(message, &signature.0).is_err() {
            return false;
        }
        admitted.heard.store(self.admissions.load(Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// Has the frontend of this credential been admitted?
    pub(super) fn knows(&self, credential: &Credential) -> Result<bool, AdmitError> {
        match self.table.load().get(&credential.frontend) {
            None => Ok(false),
            Some(known) if known.credential == *credential => Ok(true),
            Some(_) => Err(AdmitError::Taken(credential.frontend)),
        }
    }

    /// Checks the credential of a frontend that is not known.
    pub(super) fn check(&self, credential: &Credential) -> Result<Newcomer, AdmitError> {
        let owner = self.judge(credential)?;
        let frontend = credential.frontend;
        let key = ParsedPublicKey::new(&ED25519, frontend.0).map_err(|_| AdmitError::Name(frontend))?;
        Ok(Newcomer { credential: copied(credential), owner, key })
    }

    /// Adds a frontend that was checked. One at a time.
    pub(super) fn insert(&self, newcomer: Newcomer, room: Room) -> Result<(), AdmitError> {
        let mut table = Table::clone(&self.table.load());
        match room {
            Room::Make => make_room(&mut table, &newcomer.owner),
            Room::Free if !has_room(&table, &newcomer.owner) => return Err(AdmitError::Full),
            Room::Free => {}
        }
        let now = self.admissions.fetch_add(1, Ordering::Relaxed) + 1;
        let Newcomer { credential, owner, key } = newcomer;
        let admitted = Admitted { credential, owner, key, heard: AtomicU64::new(now) };
        table.insert(admitted.credential.frontend, Arc::new(admitted));
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// Replaces the organisations whose TLS certificates can have frontends. Who was admitted stays known, because what it
    /// was promised is still to be ordered.
    pub(super) fn trust(&self, authorities: Vec<Msp>) {
        self.authorities.store(Arc::new(authorities));
    }

    pub(super) fn credentials(&self) -> Vec<Credential> {
        self.table.load().values().map(|admitted| admitted.credential.clone()).collect()
    }

    /// Who owns the certificate, if it may have frontends and vouches for this one.
    pub(super) fn judge(&self, credential: &Credential) -> Result<Bytes, AdmitError> {
        credential.verify(self.group)?;
        let certificate = Certificate::from_der(&credential.certificate)?;
        if !self.authorities.load().iter().any(|msp| msp.has_issued_tls(&certificate)) {
            return Err(AdmitError::Authority(certificate.subject_text().to_owned()));
        }
        if certificate.not_after_unix_s() < now_unix_s() {
            return Err(AdmitError::Expired(certificate.subject_text().to_owned()));
        }
        Ok(certificate.spki_der().clone())
    }
}

fn has_room(table: &Table, owner: &Bytes) -> bool {
    table.len() < FRONTENDS_MAX && owned(table, owner) < FRONTENDS_PER_CERTIFICATE_MAX
}

fn make_room(table: &mut Table, owner: &Bytes) {
    if owned(table, owner) >= FRONTENDS_PER_CERTIFICATE_MAX {
        forget_most_silent(table, |admitted| admitted.owner == *owner);
    }
    if table.len() >= FRONTENDS_MAX {
        forget_most_silent(table, |_| true);
    }
}

fn owned(table: &Table, owner: &Bytes) -> usize {
    table.values().filter(|admitted| admitted.owner == *owner).count()
}

fn forget_most_silent(table: &mut Table, among: impl Fn(&Admitted) -> bool) {
    let candidates = table.iter().filter(|(_, admitted)| among(admitted));
    let silent = candidates.min_by_key(|(_, admitted)| admitted.heard.load(Ordering::Relaxed)).map(|(&id, _)| id);
    if let Some(frontend) = silent {
        tracing::info!(%frontend, "a frontend that has been silent gives way to a new one");
        table.remove(&frontend);
    }
}

/// The credential lives as long as the frontend; the frame it came in must not.
fn copied(credential: &Credential) -> Credential {
    Credential {
        frontend: credential.frontend,
        certificate: Bytes::copy_from_slice(&credential.certificate),
        signature: Bytes::copy_from_slice(&credential.signature),
    }
}

/// A clock before 1970 makes no certificate expired.
fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use frontend_shim::keys::FrontendKey;
    use mod_smart::Signer as _;

    use super::*;
    use crate::keys::test_authority::TestAuthority;

    const GROUP: GroupId = GroupId([7; 32]);

    fn admit(frontends: &Frontends, credential: &Credential) -> Result<(), AdmitError> {
        assert!(!frontends.knows(credential)?);
        frontends.insert(frontends.check(credential)?, Room::Make)
    }

    fn is_served(frontends: &Frontends, key: &FrontendKey) -> bool {
        frontends.verify(key.id(), b"request", &key.sign(b"request"))
    }

    #[test]
    fn a_frontend_under_an_orderer_organisation_is_admitted_once() {
        let authority = TestAuthority::new();
        let frontends = Frontends::new(GROUP, vec![authority.msp("OrdererMSP")]);
        let key = FrontendKey::generate().unwrap();
        let credential = Credential::issue(GROUP, key.id(), &authority.issue("frontend")).unwrap();
        assert!(!is_served(&frontends, &key));
        admit(&frontends, &credential).unwrap();
        assert!(frontends.knows(&credential).unwrap());
        assert!(is_served(&frontends, &key));
        assert!(!frontends.verify(key.id(), b"another", &key.sign(b"request")));
        assert_eq!(frontends.credentials(), [credential]);
    }

    #[test]
    fn strangers_and_thieves_are_refused() {
        let (authority, foreign) = (TestAuthority::new(), TestAuthority::new());
        let frontends = Frontends::new(GROUP, vec![authority.msp("OrdererMSP")]);
        let key = FrontendKey::generate().unwrap();
        let stranger = Credential::issue(GROUP, key.id(), &foreign.issue("stranger")).unwrap();
        assert!(matches!(admit(&frontends, &stranger), Err(AdmitError::Authority(_))));
        let elsewhere = Credential::issue(GroupId([8; 32]), key.id(), &authority.issue("frontend")).unwrap();
        assert!(matches!(admit(&frontends, &elsewhere), Err(AdmitError::Credential(_))));
        let old = Credential::issue(GROUP, key.id(), &authority.issue_until("old", 2020)).unwrap();
        assert!(matches!(admit(&frontends, &old), Err(AdmitError::Expired(_))));
        admit(&frontends, &Credential::issue(GROUP, key.id(), &authority.issue("frontend")).unwrap()).unwrap();
        let thief = Credential::issue(GROUP, key.id(), &authority.issue("thief")).unwrap();
        assert!(matches!(admit(&frontends, &thief), Err(AdmitError::Taken(_))));
    }

    #[test]
    fn the_most_silent_frontend_of_a_certificate_gives_way() {
        let authority = TestAuthority::new();
        let frontends = Frontends::new(GROUP, vec![authority.msp("OrdererMSP")]);
        let (busy, other) = (authority.issue("busy"), authority.issue("other"));
        let neighbour = FrontendKey::generate().unwrap();
        admit(&frontends, &Credential::issue(GROUP, neighbour.id(), &other).unwrap()).unwrap();
        let keys: Vec<_> = (0..=FRONTENDS_PER_CERTIFICATE_MAX).map(|_| FrontendKey::generate().unwrap()).collect();
        let (last, first_ones) = keys.split_last().unwrap();
        for key in first_ones {
            admit(&frontends, &Credential::issue(GROUP, key.id(), &busy).unwrap()).unwrap();
        }
        assert!(is_served(&frontends, &keys[0]), "the first has just been heard, the second is the most silent");
        admit(&frontends, &Credential::issue(GROUP, last.id(), &busy).unwrap()).unwrap();
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(is_served(&frontends, key), index != 1, "{index}");
        }
        assert!(is_served(&frontends, &neighbour));
        let hearsay = Credential::issue(GROUP, FrontendKey::generate().unwrap().id(), &busy).unwrap();
        let refused = frontends.insert(frontends.check(&hearsay).unwrap(), Room::Free);
        assert!(matches!(refused, Err(AdmitError::Full)));
        let hearsay = Credential::issue(GROUP, FrontendKey::generate().unwrap().id(), &other).unwrap();
        frontends.insert(frontends.check(&hearsay).unwrap(), Room::Free).unwrap();
    }

    #[test]
    fn the_table_never_exceeds_its_bound() {
        let mut table = Table::new();
        for number in 0..FRONTENDS_MAX + 50 {
            let key = FrontendKey::generate().unwrap();
            let owner = Bytes::from(number.to_be_bytes().to_vec());
            make_room(&mut table, &owner);
            let credential = Credential { frontend: key.id(), certificate: Bytes::new(), signature: Bytes::new() };
            let parsed = ParsedPublicKey::new(&ED25519, key.id().0).unwrap();
            let heard = AtomicU64::new(number as u64);
            table.insert(key.id(), Arc::new(Admitted { credential, owner, key: parsed, heard }));
            assert!(table.len() <= FRONTENDS_MAX);
        }
        assert_eq!(table.values().map(|admitted| admitted.heard.load(Ordering::Relaxed)).min(), Some(50));
    }

    #[test]
    fn a_frontend_of_an_organisation_that_leaves_is_still_understood_and_not_taken_in_again() {
        let (stays, leaves) = (TestAuthority::new(), TestAuthority::new());
        let frontends = Frontends::new(GROUP, vec![stays.msp("A"), leaves.msp("B")]);
        let (kept, lost) = (FrontendKey::generate().unwrap(), FrontendKey::generate().unwrap());
        admit(&frontends, &Credential::issue(GROUP, kept.id(), &stays.issue("a")).unwrap()).unwrap();
        admit(&frontends, &Credential::issue(GROUP, lost.id(), &leaves.issue("b")).unwrap()).unwrap();
        frontends.trust(vec![stays.msp("A")]);
        assert!(is_served(&frontends, &kept) && is_served(&frontends, &lost));
        let of = |authority: &TestAuthority, key: &FrontendKey| {
            frontends.judge(&Credential::issue(GROUP, key.id(), &authority.issue("again")).unwrap())
        };
        assert!(of(&stays, &kept).is_ok());
        assert!(matches!(of(&leaves, &lost), Err(AdmitError::Authority(_))));
    }
}
