//! The one selection rule of the synchronization phase, as pure functions over the collects of a SYNC.
//!
//! *The valid WRITE certificate of the highest epoch among the collects binds the instance; if none of them has one, the
//! instance is unbound.* A decision implies a quorum that held the certificate durably, and any `n - f` collects meet
//! every quorum in a correct replica, so what was decided is always bound. Every replica computes this for itself.
//!
//! The collects were verified before: signatures, quorums, epochs below the regency, distinct senders.

use crate::certificate::{Proof, WriteCertificate};
use crate::id::{Digest, InstanceId};
use crate::quorum::Voters;
use crate::synchronization::{Claim, Evidence, SignedStopData};

/// What the collects say about one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding<'a> {
    /// It is decided.
    Decided(&'a Proof),
    /// A quorum wrote this batch; no other may be proposed.
    Written(&'a WriteCertificate),
    /// Nobody can have decided anything: any valid batch may be proposed.
    Unbound,
}

impl Binding<'_> {
    /// The only batch that may be proposed, if there is such.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        match self {
            Self::Decided(proof) => Some(proof.digest()),
            Self::Written(certificate) => Some(certificate.digest()),
            Self::Unbound => None,
        }
    }
}

/// The highest instance that some collect proves to be delivered: the new regency begins after it.
#[must_use]
pub fn last_delivered(collects: &[SignedStopData]) -> &Evidence {
    const START: &Evidence = &Evidence::Start;
    collects.iter().map(|collect| &collect.data.delivered).max_by_key(|evidence| evidence.instance()).unwrap_or(START)
}

/// What binds this instance.
#[must_use]
pub fn binding(instance: InstanceId, collects: &[SignedStopData]) -> Binding<'_> {
    let claims = || collects.iter().flat_map(|collect| &collect.data.claims).filter(|c| c.instance() == instance);
    let decided = collects.iter().find_map(|collect| match &collect.data.delivered {
        Evidence::Decision(proof) if proof.instance() == instance => Some(proof),
        _ => None,
    });
    let decided = decided.or_else(|| {
        claims().find_map(|claim| match claim {
            Claim::Decided(proof) => Some(proof),
            Claim::Written(_) => None,
        })
    });
    if let Some(proof) = decided {
        return Binding::Decided(proof);
    }
    let written = claims().filter_map(|claim| match claim {
        Claim::Written(certificate) => Some(certificate),
        Claim::Decided(_) => None,
    });
    written.max_by_key(|certificate| certificate.epoch()).map_or(Binding::Unbound, Binding::Written)
}

/// Who wrote the batch of a certificate, and so knows it. One without votes is known to those who show it.
#[must_use]
pub fn holders(written: &WriteCertificate, collects: &[SignedStopData]) -> Voters {
    let voters = written.voters();
    if !voters.is_empty() {
        return voters;
    }
    let shows = |claim: &Claim| matches!(claim, Claim::Written(shown) if shown == written);
    collects.iter().filter(|collect| collect.data.claims.iter().any(shows)).map(|collect| collect.sender).collect()
}

/// The highest instance that something binds; unbound ones below it are filled with batches that may be empty.
#[must_use]
pub fn highest_bound(collects: &[SignedStopData]) -> InstanceId {
    let claims = collects.iter().flat_map(|collect| &collect.data.claims).map(Claim::instance);
    claims.max().unwrap_or_default().max(last_delivered(collects).instance())
}
