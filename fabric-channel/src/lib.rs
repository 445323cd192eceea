//! The rules of a Fabric channel: what its configuration says, who its members are, and which blocks are valid.
//!
//! Pure: no I/O, no clock, no thread, no randomness, no map of random order. Every function is total on what comes
//! from outside; errors name the element at fault. The measure of all rules is Fabric's own behaviour (contract
//! §2.7, §2.8, §3, §7.2 to §7.4, §9), because peers evaluate the same configuration and stop if they come to
//! another result.
//!
//! ```text
//! block 0 -> ChannelConfig::from_block
//!              Bundle            what peers and orderers accept: groups, MSPs, policies
//!              + orderer's part  batch size, timeout, consensus type, consenters
//!            -> members()        for the ordering group: (id, pinned key)
//!            -> BlockVerifier    for collectors and receivers of blocks
//! GenesisProfile::block          the way back, for a new channel
//!
//! any envelope -> filters::check: size, expiry, Writers
//! CONFIG_UPDATE envelope -> ConfigChange::evaluate
//!              update::propose   the algorithm that peers repeat
//!              + orderer's part  transitions, consenters, maintenance
//!            -> config_transaction::wrap, the CONFIG envelope
//! CONFIG envelope -> config_transaction::verify -> the next ChannelConfig
//! ```
//!
//! # Where this is stricter than Fabric
//!
//! - [`ChannelConfig`] refuses what makes a Fabric orderer halt later or what peers of other versions stop at:
//!   consenter ids that repeat or are zero, unreadable consenter certificates, unknown MSPs of consenters, options
//!   that do not parse, an empty consenter set, the consenter mapping without capability V3_0, a missing
//!   BlockValidation policy.
//! - Idemix identities are not read. Signatures under P-224 are not verified.
//! - A certificate authority whose name constraints concern anything but DNS names, or that demands explicit
//!   policies, vouches for no certificate that these would concern.
//! - Updates: the type BFT may not come without capability V3_0 or without its derived BlockValidation policy, a
//!   consenter that stays needs a TLS certificate of a known issuer even after expiry, and
//!   [`ConfigChange::check_orderable`] refuses updates without any effect and all that [`ChannelConfig`] refuses.
//!   Whether enough consenters of type etcdraft are running is not asked.
//! - [`consenter_set`]: whether an update brings other ordering nodes, and whether enough of the present ones stay.
//! - A known field of a configuration value with another wire type is an error, not an unknown field.
//! - Bounds on nesting and numbers, see [`limits`].
#![forbid(unsafe_code)]

pub mod authoring;
mod bft_options;
mod bft_update;
mod block_policy;
mod block_verifier;
mod bundle;
mod capabilities;
mod certificate;
mod certificate_extensions;
mod chain;
mod config;
pub mod config_change;
mod config_content;
pub mod config_transaction;
pub mod config_tree;
mod consenter;
pub mod consenter_set;
mod crl;
mod der;
mod ecdsa_signature;
pub mod filters;
mod genesis;
mod genesis_organization;
pub mod go_duration;
mod group_values;
mod identity;
pub mod join_block;
mod known_identities;
pub mod limits;
mod maintenance;
mod membership;
mod msp;
mod msp_setup;
mod msps;
mod names;
mod node_ous;
mod orderer_group;
mod pem_block;
mod policy;
mod policy_fit;
mod policy_shortfall;
mod policy_tree;
mod principal;
mod public_key;
mod raft_metadata;
mod transition;
pub mod update;
mod well_formed;
mod wire;

pub use bft_options::{BftOptions, BftOptionsError, LeaderRotation, OptionsFlaw};
pub use bft_update::BftUpdateError;
pub use block_policy::{BlockPolicy, bft_quorum, derived_bft_policy};
pub use block_verifier::{BlockReject, BlockVerifier, Reject, VerifiedSigner};
pub use bundle::{ApplicationGroup, Bundle, BundleError};
pub use capabilities::{ApplicationCapabilities, ChannelCapabilities, OrdererCapabilities};
pub use certificate::{Certificate, CertificateError};
pub use chain::{ChainError, SanitiseError};
pub use config::{ChannelConfig, ConfigError, ConsensusState, ConsensusType};
pub use config_change::ConfigChange;
pub use config_content::ConfigContent;
pub use consenter::{Consenter, ConsenterIdentity, ConsentersError};
pub use crl::CrlError;
pub use ecdsa_signature::Curve;
pub use genesis::{ConsenterProfile, GenesisCapabilities, GenesisProfile};
pub use genesis_organization::{ApplicationOrganizationProfile, MspMaterial, OrdererOrganizationProfile};
pub use identity::{Identity, IdentityError, IdentityKey, InvalidIdentity, serialise};
pub use maintenance::MaintenanceError;
pub use membership::Member;
pub use msp::{Msp, MspVersion};
pub use msp_setup::MspError;
pub use msps::{Msps, MspsError, SignedData};
pub use node_ous::{NodeOus, OuIdentifier};
pub use orderer_group::{BatchSize, OrdererGroup, OrdererOrganization};
pub use policy::{ImplicitMetaPolicy, Policy, PolicyError, SignaturePolicy};
pub use policy_fit::{PolicyFit, PolicyFitError, name_consenters, policy_fit};
pub use policy_shortfall::{Shortfall, SubShortfall};
pub use policy_tree::{PolicyTree, PolicyTreeError};
pub use principal::{Principal, Role};
pub use public_key::{KeyAlgorithm, KeyError, PublicKey, SignatureError};
pub use raft_metadata::{ExpiryCheck, RaftMetadataError};
pub use transition::TransitionError;
pub use well_formed::{DataError, EntryError};
