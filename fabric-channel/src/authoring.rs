//! Making configuration updates: from what an administrator wants to the bytes that he signs and sends.
//!
//! ```text
//! ConfigTree --edit--> ConfigTree          edits: batch size, endpoints, ACLs, organizations, consenters
//! compute_update(current, desired)         smallest read and write sets that lead from one to the other
//! UpdateDraft                              the unsigned CONFIG_UPDATE envelope around them
//! SignedUpdate                             signatures are added, and the outer envelope of the one who sends it
//! Outcome                                  what an update would lead to if everybody signed, and whether that is valid
//! ```
//!
//! Everything here is the counterpart of [`crate::update`]: an update made here and signed by those whom the
//! `mod_policy` of each changed element asks leads exactly to the desired tree. Fields that are not known survive
//! every edit. Contract §2.4, §9.3.

mod compute;
mod difference;
mod draft;
pub mod edit;
mod leaf;
mod message;
mod outcome;
mod signed_update;
#[cfg(test)]
mod tests;

pub use compute::{NoDifference, UpdateSets, compute_update};
pub use difference::{Content, Difference, differences};
pub use draft::UpdateDraft;
pub use outcome::{Outcome, OutcomeFlaw};
pub use signed_update::{SignedUpdate, SignedUpdateError};
