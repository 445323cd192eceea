//! Reading the values of one configuration group.
//!
//! A group may hold only the keys its place in the tree allows, and each value is a message of a type fixed by its
//! key. An absent value reads as the empty message, as in Fabric; whether that is acceptable is decided where the
//! value is used. Contract §2.7.

use fabric_proto::common::ConfigGroup;
use prost::Message;

use crate::bundle::BundleError;

/// The values of a group, with the group's path for errors.
pub(crate) struct GroupValues<'a> {
    path: String,
    group: &'a ConfigGroup,
}

impl<'a> GroupValues<'a> {
    /// Refuses keys that are not in `allowed`. `path` is absolute: `/Channel/Orderer`.
    pub(crate) fn read(path: impl Into<String>, group: &'a ConfigGroup, allowed: &[&str]) -> Result<Self, BundleError> {
        let path = path.into();
        let stranger = group.values.keys().find(|key| !allowed.contains(&key.as_str()));
        if let Some(key) = stranger {
            return Err(BundleError::UnexpectedKey { path, key: key.clone() });
        }
        Ok(Self { path, group })
    }

    /// Refuses child groups.
    pub(crate) fn without_groups(self) -> Result<Self, BundleError> {
        if self.group.groups.is_empty() {
            return Ok(self);
        }
        Err(BundleError::SubGroups { path: self.path })
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.group.values.contains_key(key)
    }

    /// The message under `key`, or the empty message.
    pub(crate) fn message<M: Message + Default>(&self, key: &str) -> Result<M, BundleError> {
        let Some(value) = self.group.values.get(key) else {
            return Ok(M::default());
        };
        M::decode(value.value.clone()).map_err(|why| BundleError::MalformedValue {
            path: self.path.clone(),
            key: key.to_owned(),
            why: why.to_string(),
        })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}
