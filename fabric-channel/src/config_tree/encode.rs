//! Writing a tree: fields by number, maps sorted by key, unknown fields last.

use super::{ConfigTree, Group, PolicyBody, PolicyEntry, UnknownFields, Value};
use crate::wire::{push_bytes, push_content, push_number};

impl ConfigTree {
    /// The marshalled `Config`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_number(&mut out, 1, self.sequence);
        if let Some(root) = &self.root {
            push_content(&mut out, 2, &root.encode());
        }
        out
    }
}

impl Group {
    /// The marshalled `ConfigGroup`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_number(&mut out, 1, self.version);
        for (name, group) in &self.groups {
            push_entry(&mut out, 2, name, &group.encode());
        }
        for (name, value) in &self.values {
            push_entry(&mut out, 3, name, &value.encode());
        }
        for (name, policy) in &self.policies {
            push_entry(&mut out, 4, name, &policy.encode());
        }
        push_bytes(&mut out, 5, self.mod_policy.as_bytes());
        push_unknown(&mut out, &self.unknown);
        out
    }
}

impl Value {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_number(&mut out, 1, self.version);
        push_bytes(&mut out, 2, &self.value);
        push_bytes(&mut out, 3, self.mod_policy.as_bytes());
        push_unknown(&mut out, &self.unknown);
        out
    }
}

impl PolicyEntry {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push_number(&mut out, 1, self.version);
        if let Some(policy) = &self.policy {
            push_content(&mut out, 2, &policy.encode());
        }
        push_bytes(&mut out, 3, self.mod_policy.as_bytes());
        push_unknown(&mut out, &self.unknown);
        out
    }
}

impl PolicyBody {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // A negative number of 32 bits is written with its sign extended.
        push_number(&mut out, 1, i64::from(self.kind) as u64);
        push_bytes(&mut out, 2, &self.value);
        push_unknown(&mut out, &self.unknown);
        out
    }
}

fn push_entry(out: &mut Vec<u8>, number: u64, name: &str, message: &[u8]) {
    let mut entry = Vec::with_capacity(message.len() + name.len() + ENTRY_FRAME_BYTES_MAX);
    push_content(&mut entry, 1, name.as_bytes());
    push_content(&mut entry, 2, message);
    push_content(out, number, &entry);
}

fn push_unknown(out: &mut Vec<u8>, unknown: &UnknownFields) {
    out.extend_from_slice(unknown.as_bytes());
}

/// Two tags of one octet and two lengths.
const ENTRY_FRAME_BYTES_MAX: usize = 2 * (1 + 10);
