//! Access control lists: which policy governs which resource of a peer.

use fabric_proto::protos::ApiResource;
use prost::Message as _;

use super::{EditError, edit_value, group_mut};
use crate::authoring::message::Fields;
use crate::config_tree::ConfigTree;
use crate::wire::push_content;

/// Lets a policy govern a resource, for example `peer/Propose` by `/Channel/Application/Writers`.
///
/// # Errors
/// [`EditError`] if there is no application group, or its list does not parse.
pub fn set_acl(tree: &mut ConfigTree, resource: &str, policy: &str) -> Result<(), EditError> {
    edit_entries(tree, |entries| {
        let entry = entry(resource, policy);
        let at = entries.partition_point(|(name, _)| name.as_str() < resource);
        match entries.iter_mut().find(|(name, _)| name == resource) {
            Some((_, bytes)) => *bytes = entry,
            None => entries.insert(at, (resource.to_owned(), entry)),
        }
        Ok(())
    })
}

/// Gives a resource back to the policy that peers use by themselves.
///
/// # Errors
/// [`EditError`] if the list has no entry for it, or does not parse.
pub fn unset_acl(tree: &mut ConfigTree, resource: &str) -> Result<(), EditError> {
    edit_entries(tree, |entries| {
        let count = entries.len();
        entries.retain(|(name, _)| name != resource);
        if entries.len() == count {
            return Err(EditError::NoAcl(resource.to_owned()));
        }
        Ok(())
    })
}

/// Entries of the list by resource, each as it is written.
type Entries = Vec<(String, Vec<u8>)>;

fn edit_entries(
    tree: &mut ConfigTree,
    edit: impl FnOnce(&mut Entries) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let application = group_mut(tree, &["Application"])?;
    edit_value(application, APPLICATION, "ACLs", |fields| {
        let malformed = || EditError::Malformed(format!("{APPLICATION}/ACLs"));
        let mut entries = Entries::new();
        for bytes in fields.contents(1) {
            let key = Fields::read(&bytes).map_err(|_| malformed())?.contents(1).pop().unwrap_or_default();
            entries.push((String::from_utf8(key).map_err(|_| malformed())?, bytes));
        }
        edit(&mut entries)?;
        fields.set_contents(1, entries.into_iter().map(|(_, bytes)| bytes));
        Ok(())
    })
}

fn entry(resource: &str, policy: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_content(&mut bytes, 1, resource.as_bytes());
    push_content(&mut bytes, 2, &ApiResource { policy_ref: policy.to_owned() }.encode_to_vec());
    bytes
}

const APPLICATION: &str = "/Channel/Application";
