//! Reading a tree from bytes, as Go's decoder does.
//!
//! A field of a known number with another wire type counts as unknown. A message that occurs twice is merged: its
//! numbers and texts are overwritten, its maps united, and of two map entries with one key the later one stands.

use bytes::Bytes;

use super::{ConfigTree, Group, PolicyBody, PolicyEntry, TreeError, Value};
use crate::limits::{CONFIG_ELEMENTS_MAX, GROUP_DEPTH_MAX};
use crate::wire::{self, Field, Malformed};

impl ConfigTree {
    /// Reads a marshalled `Config`.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn decode(bytes: &Bytes) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        Decoder::new(bytes).merge_tree(&mut tree, bytes)?;
        Ok(tree)
    }
}

impl From<Malformed> for TreeError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Reads parts of one buffer; byte fields share it.
pub(crate) struct Decoder<'a> {
    source: &'a Bytes,
    elements_left: usize,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(source: &'a Bytes) -> Self {
        Self { source, elements_left: CONFIG_ELEMENTS_MAX }
    }

    /// Merges the content of a `Config` message, which has to lie in the buffer.
    pub(crate) fn merge_tree(&mut self, tree: &mut ConfigTree, content: &'a [u8]) -> Result<(), TreeError> {
        for field in wire::fields(content) {
            let field = field?;
            match (field.number, field.varint(), field.content()) {
                (1, Some(number), _) => tree.sequence = number,
                (2, _, Some(content)) => self.merge_root(tree.root.get_or_insert_default(), content)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Merges the content of a root group.
    pub(crate) fn merge_root(&mut self, group: &mut Group, content: &'a [u8]) -> Result<(), TreeError> {
        self.merge_group(group, content, 0)
    }

    fn merge_group(&mut self, group: &mut Group, content: &'a [u8], depth: usize) -> Result<(), TreeError> {
        if depth > GROUP_DEPTH_MAX {
            return Err(TreeError::TooDeep);
        }
        for field in wire::fields(content) {
            let field = field?;
            match (field.number, field.varint(), field.content()) {
                (1, Some(number), _) => group.version = number,
                (2, _, Some(entry)) => {
                    let (name, parts) = self.read_entry(entry)?;
                    let mut child = Group::default();
                    parts.iter().try_for_each(|part| self.merge_group(&mut child, part, depth + 1))?;
                    group.groups.insert(name, child);
                }
                (3, _, Some(entry)) => {
                    let (name, parts) = self.read_entry(entry)?;
                    let mut value = Value::default();
                    parts.iter().try_for_each(|part| self.merge_value(&mut value, part))?;
                    group.values.insert(name, value);
                }
                (4, _, Some(entry)) => {
                    let (name, parts) = self.read_entry(entry)?;
                    let mut policy = PolicyEntry::default();
                    parts.iter().try_for_each(|part| self.merge_policy(&mut policy, part))?;
                    group.policies.insert(name, policy);
                }
                (5, _, Some(text)) => group.mod_policy = read_text(text)?,
                _ => group.unknown.push(&field),
            }
        }
        Ok(())
    }

    fn merge_value(&self, value: &mut Value, content: &'a [u8]) -> Result<(), TreeError> {
        for field in wire::fields(content) {
            let field = field?;
            match (field.number, field.varint(), field.content()) {
                (1, Some(number), _) => value.version = number,
                (2, _, Some(bytes)) => value.value = self.share(bytes),
                (3, _, Some(text)) => value.mod_policy = read_text(text)?,
                _ => value.unknown.push(&field),
            }
        }
        Ok(())
    }

    fn merge_policy(&self, policy: &mut PolicyEntry, content: &'a [u8]) -> Result<(), TreeError> {
        for field in wire::fields(content) {
            let field = field?;
            match (field.number, field.varint(), field.content()) {
                (1, Some(number), _) => policy.version = number,
                (2, _, Some(body)) => self.merge_body(policy.policy.get_or_insert_default(), body)?,
                (3, _, Some(text)) => policy.mod_policy = read_text(text)?,
                _ => policy.unknown.push(&field),
            }
        }
        Ok(())
    }

    fn merge_body(&self, body: &mut PolicyBody, content: &'a [u8]) -> Result<(), TreeError> {
        for field in wire::fields(content) {
            let field = field?;
            match (field.number, field.varint(), field.content()) {
                // A number of 32 bits is what its lower half says.
                (1, Some(number), _) => body.kind = number as i32,
                (2, _, Some(bytes)) => body.value = self.share(bytes),
                _ => body.unknown.push(&field),
            }
        }
        Ok(())
    }

    /// A map entry: its key, and the parts of its message, which are merged. All else in it is dropped.
    fn read_entry(&mut self, entry: &'a [u8]) -> Result<(String, Vec<&'a [u8]>), TreeError> {
        self.elements_left = self.elements_left.checked_sub(1).ok_or(TreeError::TooManyElements)?;
        let mut key = String::new();
        let mut parts = Vec::new();
        for field in wire::fields(entry) {
            let field: Field<'a> = field?;
            match (field.number, field.content()) {
                (1, Some(text)) => key = read_text(text)?,
                (2, Some(part)) => parts.push(part),
                _ => {}
            }
        }
        Ok((key, parts))
    }

    fn share(&self, bytes: &[u8]) -> Bytes {
        self.source.slice_ref(bytes)
    }
}

pub(crate) fn read_text(content: &[u8]) -> Result<String, TreeError> {
    std::str::from_utf8(content).map(str::to_owned).map_err(|_| TreeError::NotText)
}
