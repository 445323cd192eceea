//! Configuration updates: from a CONFIG_UPDATE envelope to the next configuration.
//!
//! ```text
//! read set    what the author of the update saw: versions that must still hold
//! write set   what shall be; an element is changed if its version is not that of the read set
//! delta       the changed elements: each needs the next version, and its present mod_policy satisfied
//! result      the present elements overlaid with the delta, followed from the root along the member lists
//! ```
//!
//! Consequences of the last line: whoever changes the list of a group's members writes the group anew with the next
//! version, and a member left out is gone. An element whose group does not list it is dropped without a word.
//!
//! Every orderer and every peer runs this and has to come to the same result, so it follows Fabric's algorithm to
//! the letter, also where that is odd. Nothing here depends on the clock: certificates that have expired still
//! sign. Contract §2.3, §2.4, Appendix C 15 and 16.
//!
//! Left out: whether the result is a valid channel ([`crate::Bundle`]) and one an orderer can go on with
//! ([`crate::config_change`]).

mod algorithm;
mod authorisation;
mod element;
mod error;
mod reading;
mod result;
mod validation;

pub use authorisation::{SignatureReport, Unauthorised, UnauthorisedElement};
pub use element::{ElementKey, ElementKind};
pub use error::{UpdateError, UpdateSet};
pub use result::ProposedConfig;
pub use validation::{ValidationError, validate};

use fabric_proto::Envelope;

use crate::bundle::Bundle;
use reading::Update;

/// Evaluates an update against the present configuration.
///
/// The envelope's own channel name and signature are not looked at: they are judged before, as for every envelope.
///
/// # Errors
/// [`UpdateError`] names the element at fault.
pub fn propose(current: &Bundle, envelope: &Envelope) -> Result<ProposedConfig, UpdateError> {
    let update = Update::read(envelope)?;
    let (root, delta) = algorithm::apply(current, &update)?;
    Ok(ProposedConfig::new(current, root, delta, update.write_set, envelope))
}
