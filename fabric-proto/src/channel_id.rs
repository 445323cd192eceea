//! The name of a channel, checked once.
//!
//! A `ChannelId` always satisfies Fabric's rule (contract §2.4 step 1), so it may be used as a key
//! or as part of a path without another look. Copies share one allocation.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A valid channel name: `[a-z][a-z0-9.-]*`, at most [`ChannelId::BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(Arc<str>);

impl ChannelId {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 249;

    /// Checks `name` and keeps a copy of it.
    pub fn new(name: &str) -> Result<Self, ChannelIdError> {
        let Some(first) = name.bytes().next() else {
            return Err(ChannelIdError::Empty);
        };
        if name.len() > Self::BYTES_MAX {
            return Err(ChannelIdError::TooLong { bytes: name.len() });
        }
        if !first.is_ascii_lowercase() || !name.bytes().all(is_allowed) {
            return Err(ChannelIdError::IllegalCharacter { name: name.to_owned() });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a name cannot be a channel's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelIdError {
    /// There is no character at all.
    #[error("channel ID illegal, cannot be empty")]
    Empty,
    /// More than [`ChannelId::BYTES_MAX`] bytes.
    #[error("channel ID illegal, {bytes} bytes are more than {max}", max = ChannelId::BYTES_MAX)]
    TooLong {
        /// Length of the refused name.
        bytes: usize,
    },
    /// A character outside the rule, or a first one that is not a lower-case letter.
    #[error("channel ID {name:?} contains illegal characters")]
    IllegalCharacter {
        /// The refused name, at most [`ChannelId::BYTES_MAX`] bytes.
        name: String,
    },
}

impl FromStr for ChannelId {
    type Err = ChannelIdError;

    fn from_str(name: &str) -> Result<Self, ChannelIdError> {
        Self::new(name)
    }
}

impl AsRef<str> for ChannelId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Lets an ordered map keyed by channel be asked with the text of a header.
impl Borrow<str> for ChannelId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({})", self.0)
    }
}

fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_of_the_rule_are_accepted() {
        let longest = "a".repeat(ChannelId::BYTES_MAX);
        for name in ["a", "bftch", "my.channel-2", "z9", "a.", "a-", longest.as_str()] {
            assert_eq!(ChannelId::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        assert_eq!(ChannelId::new(""), Err(ChannelIdError::Empty));
        assert_eq!(ChannelId::new(&"a".repeat(250)), Err(ChannelIdError::TooLong { bytes: 250 }));
        for name in ["A", "9a", ".a", "-a", "aB", "a_b", "a b", "a/b", "ä", "a\0", "a\n"] {
            let refused = ChannelIdError::IllegalCharacter { name: name.to_owned() };
            assert_eq!(ChannelId::new(name), Err(refused), "{name:?}");
        }
    }

    #[test]
    fn maps_answer_for_plain_text() {
        let map = BTreeMap::from([(ChannelId::new("ch1").unwrap(), 1)]);
        assert_eq!(map.get("ch1"), Some(&1));
        assert_eq!("ch1".parse::<ChannelId>().unwrap().to_string(), "ch1");
    }
}
