//! The everyday changes of a channel, each on the tree of its configuration.
//!
//! An edit changes what it is asked to change and keeps all else, fields that are not known included. It refuses
//! only what has no meaning, such as removing a consenter that is not there; whether the result is a valid channel
//! is for [`super::Outcome`] to say.

mod access;
mod batch;
mod bft_consenters;
mod consenters;
mod organization;
mod raft_consenters;

pub use access::{set_acl, unset_acl};
pub use batch::BatchEdit;
pub use consenters::{
    ConsenterEdit, ConsenterSelector, NewConsenter, add_consenter, remove_consenter, replace_consenter,
};
pub use organization::{
    OrganizationSide, add_organization, application_organization, endpoints, orderer_organization, remove_organization,
    set_endpoints,
};

use bytes::Bytes;
use thiserror::Error;

use super::message::Fields;
use crate::certificate::CertificateError;
use crate::config_tree::{ConfigTree, Group, Value};

/// Why an edit makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// A group that the edit works on.
    #[error("{0} is missing in this configuration")]
    Missing(String),
    /// A value that the edit works on.
    #[error("{0} does not parse")]
    Malformed(String),
    /// It would be there twice.
    #[error("{0} exists already")]
    Exists(String),
    /// An ACL that is not set.
    #[error("/Channel/Application/ACLs: nothing is set for {0:?}")]
    NoAcl(String),
    /// A consensus type that has no consenters that can be edited.
    #[error(
        "/Channel/Orderer/ConsensusType: consenters of type {0:?} cannot be edited, only of \"BFT\" and \"etcdraft\""
    )]
    ConsensusType(String),
    /// Not one of the consenters.
    #[error("there is no consenter {wanted}; there are {present}")]
    UnknownConsenter {
        /// As asked for.
        wanted: String,
        /// The consenters there are, in words.
        present: String,
    },
    /// More than one consenter answers to an address.
    #[error("several consenters have the address {0}: name one by its id")]
    AmbiguousConsenter(String),
    /// The id of another consenter.
    #[error("consenter id {0} is in use")]
    IdInUse(u32),
    /// The address of another consenter.
    #[error("another consenter has the address {0}")]
    AddressInUse(String),
    /// The key by which another consenter is known.
    #[error("consenter {0} has the same signing key")]
    KeyInUse(u32),
    /// A certificate that nobody could check signatures with.
    #[error("the identity of consenter {id}: {why}")]
    Identity {
        /// The consenter.
        id: u32,
        /// What is wrong with it.
        why: CertificateError,
    },
    /// A part that type BFT needs of a consenter.
    #[error("a consenter of type BFT needs {0}")]
    Needed(&'static str),
    /// A part that type etcdraft has no place for.
    #[error("a consenter of type etcdraft has no {0}")]
    NotKept(&'static str),
    /// Nobody would be left.
    #[error("the last consenter cannot be removed")]
    LastConsenter,
}

/// The group at a path below `/Channel`.
fn group_mut<'a>(tree: &'a mut ConfigTree, names: &[&str]) -> Result<&'a mut Group, EditError> {
    let missing = || EditError::Missing(path_of(names));
    let mut group = tree.root.as_mut().ok_or_else(missing)?;
    for name in names {
        group = group.groups.get_mut(*name).ok_or_else(missing)?;
    }
    Ok(group)
}

fn path_of(names: &[&str]) -> String {
    names.iter().fold("/Channel".to_owned(), |path, name| path + "/" + name)
}

/// Changes the message in a value; an absent value is created, governed by the Admins of its group.
fn edit_value(
    group: &mut Group,
    path: &str,
    key: &str,
    edit: impl FnOnce(&mut Fields) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let created = || Value { mod_policy: ADMINS.to_owned(), ..Value::default() };
    let value = group.values.entry(key.to_owned()).or_insert_with(created);
    let mut fields = read_fields(&value.value, || format!("{path}/{key}"))?;
    edit(&mut fields)?;
    value.value = fields.write();
    Ok(())
}

fn read_fields(message: &Bytes, path: impl FnOnce() -> String) -> Result<Fields, EditError> {
    Fields::read(message).map_err(|_| EditError::Malformed(path()))
}

const ADMINS: &str = "Admins";
