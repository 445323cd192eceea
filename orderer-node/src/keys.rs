//! Who this node is, and whom it believes.
//!
//! One private key speaks for a node on a channel: the enrolment key of its [`LocalMsp`] (type BFT), or the key of its
//! server TLS certificate (type etcdraft). It signs in Fabric's form, see [`SigningKey`]. Votes are signed with a
//! [`VoteKey`] derived from it, and a [`VoteBinding`] under the key that the channel configuration names ties the two
//! together. [`NodeKeyring`] holds the bindings and credentials that were checked; the core asks it about every vote
//! and every request. Contract 7.2, 7.5, 9.2.

mod frontends;
mod keyring;
mod local_msp;
mod signing;
#[cfg(test)]
pub(crate) mod test_authority;
mod vote;
mod vote_binding;

pub use frontends::{AdmitError, FRONTENDS_MAX, FRONTENDS_PER_CERTIFICATE_MAX};
pub use keyring::{BindError, NodeKeyring};
pub use local_msp::{KeyError, LocalMsp};
pub use signing::{SigningIdentity, SigningKey, SigningKeyError};
pub use vote::{VoteKey, VotePublicKey};
pub use vote_binding::{BindingReject, VoteBinding};
