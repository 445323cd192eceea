//! On what terms somebody takes part in a group: told in the first frame of every link and session, so that a node which
//! knows the same members under other settings can say what is different.
//!
//! Plain settings are told by saying nothing: the frames are then those of the versions that knew no settings.

use mod_smart::GroupId;
use mod_smart::codec::{CodecError, Reader, Writer};

use crate::group::OrderingGroup;
use crate::group_settings::{GroupSettings, PLAIN};

/// Which members, under which settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTerms {
    /// [`OrderingGroup::plain_id`]: what the same members are called under plain settings.
    pub members: GroupId,
    /// The settings that they go by.
    pub settings: GroupSettings,
}

impl OrderingGroup {
    /// What its members and frontends say of it when they meet.
    #[must_use]
    pub fn terms(&self) -> GroupTerms {
        GroupTerms { members: self.plain_id(), settings: self.settings().clone() }
    }
}

impl GroupTerms {
    /// The terms of a group with plain settings.
    #[must_use]
    pub const fn plain(group: GroupId) -> Self {
        Self { members: group, settings: GroupSettings::plain() }
    }

    /// Writes them at the end of a frame.
    pub fn encode(&self, writer: &mut Writer) {
        if self.settings != PLAIN {
            writer.raw(&self.members.0);
            self.settings.encode(writer);
        }
    }

    /// Reads them from the end of a frame that names this group.
    ///
    /// # Errors
    /// What is left of the frame is something else.
    pub fn decode(reader: &mut Reader, group: GroupId) -> Result<Self, CodecError> {
        let left = reader.left();
        if left == 0 {
            return Ok(Self::plain(group));
        }
        let terms = Self { members: GroupId(reader.array()?), settings: GroupSettings::decode(reader)? };
        // One frame has one encoding.
        if terms.settings == PLAIN { Err(CodecError::Trailing(left)) } else { Ok(terms) }
    }

    /// How these, of whoever was dialled, differ from those of who dialled and means the same members; nothing if they mean
    /// others, or are the same. Both sides log it. `dialler` says what that one is.
    #[must_use]
    pub fn difference(&self, dialled_by: &Self, dialler: &str) -> Option<String> {
        if self.members != dialled_by.members {
            return None;
        }
        let difference = self.settings.difference(&dialled_by.settings)?;
        let difference = difference.between("at the node that was dialled", &format!("at the {dialler} that dials"));
        Some(format!("the members of the group are the same, and their settings of ordering differ: {difference}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn terms(settings: &str) -> GroupTerms {
        GroupTerms { members: GroupId([1; 32]), settings: toml::from_str(settings).unwrap() }
    }

    fn encoded(terms: &GroupTerms) -> Reader {
        let mut writer = Writer::default();
        terms.encode(&mut writer);
        Reader::new(writer.finish())
    }

    #[test]
    fn terms_survive_their_bytes_and_plain_ones_have_none() {
        let (plain, wide) = (terms("window = 1"), terms("window = 4"));
        assert_eq!(encoded(&plain).left(), 0);
        assert_eq!(GroupTerms::decode(&mut encoded(&plain), plain.members), Ok(plain.clone()));
        let mut reader = encoded(&wide);
        assert_eq!(GroupTerms::decode(&mut reader, GroupId([9; 32])), Ok(wide));
        assert_eq!(reader.left(), 0);
        let mut writer = Writer::default();
        writer.raw(&[1; 32]);
        plain.settings.encode(&mut writer);
        let spelt_out = GroupTerms::decode(&mut Reader::new(writer.finish()), plain.members);
        assert!(matches!(spelt_out, Err(CodecError::Trailing(_))), "one frame has one encoding");
    }

    #[test]
    fn what_differs_is_said_of_the_same_members_only() {
        let (node, frontend) = (terms("window = 4"), terms("window = 1"));
        let why = "the members of the group are the same, and their settings of ordering differ: `window` is 4 at the node that \
                   was dialled and 1 at the frontend that dials";
        assert_eq!(node.difference(&frontend, "frontend").as_deref(), Some(why));
        assert_eq!(node.difference(&node, "frontend"), None);
        assert_eq!(node.difference(&GroupTerms { members: GroupId([2; 32]), ..frontend }, "frontend"), None);
    }
}
