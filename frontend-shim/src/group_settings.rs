//! What the members of an ordering group agree on and no channel carries: whom to fear, who weighs more, who leads first, how
//! many instances are open at once, and whether blocks leave before they are decided.
//!
//! An operator writes one set of settings for a node or a frontend. What a group goes by is a function of these and of its
//! consenters ([`GroupSettings::settle`]): weights are of a certain number of consenters, so a set that they do not fit has
//! none. What differs from the settings that every group had before there were any is part of the group's id
//! ([`crate::group`]), so no proof, signature or session of one set of settings is one of another.

use std::collections::BTreeSet;
use std::fmt;

use mod_smart::Limits;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::limits::INSTANCES_OPEN_MAX;
use serde::{Deserialize, Serialize};

/// What a faulty member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultModel {
    /// Anything: `n = 3f + 1` members at least.
    #[default]
    Byzantine,
    /// Nothing but to fall silent: `n = 2f + 1` members at least. One that lies breaks the group.
    Crash,
}

/// Settings as they are written: what is left away keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenSettings {
    /// What a faulty member may do; Byzantine if left away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_model: Option<FaultModel>,
    /// How many spare members there are (thesis, chapter 5); 0 if left away: all weigh the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<usize>,
    /// Consenter ids of the members that weigh more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heavy: Option<Vec<u32>>,
    /// Consenter ids of those who lead first, in their order. The others follow by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaders: Option<Vec<u32>>,
    /// How many instances may be open at once (alpha).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Whether blocks are signed before they are decided, where a channel allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tentative: Option<bool>,
}

/// Settings that do not contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSettings", into = "WrittenSettings")]
pub struct GroupSettings {
    fault_model: FaultModel,
    delta: usize,
    heavy: BTreeSet<u32>,
    leaders: Vec<u32>,
    window: u64,
    tentative: bool,
}

/// One of the settings, to be named as its file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKey {
    /// `heavy`.
    Heavy,
    /// `leaders`.
    Leaders,
    /// `window`.
    Window,
    /// `tentative`.
    Tentative,
}

/// Why settings contradict themselves. The text says what is wrong with [`SettingsFlaw::key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFlaw {
    /// No window, or one wider than what a leader's collect can carry.
    #[error("must be from 1 to {INSTANCES_OPEN_MAX}")]
    Window,
    /// The extra weight belongs to nobody.
    #[error("is empty, and delta is {0}: name the consenters that weigh more")]
    NobodyHeavy(usize),
    /// There is no extra weight.
    #[error("names consenters, and delta is 0: without a spare member all weigh the same")]
    NoSpare,
    /// Where members may lie, `2f` are heavy.
    #[error("names {0} consenters: 2f of them are heavy, an even number")]
    OddHeavy(usize),
    /// Named twice.
    #[error("names consenter {0} twice")]
    HeavyTwice(u32),
    /// Named twice.
    #[error("names consenter {0} twice")]
    LeaderTwice(u32),
    /// More consenters than a group has.
    #[error("names more than {IDS_MAX} consenters")]
    TooManyLeaders,
    /// More than a group has.
    #[error("with delta there are more than {IDS_MAX} consenters, which is the most a group can have")]
    TooManyHeavy,
    /// Where nobody lies one reply is believed, so it must be of something decided.
    #[error(
        "is for members that may lie: with fault_model crash a block is believed from one node, which must have decided it"
    )]
    TentativeCrash,
}

/// Why the weights of some settings are not those of a set of consenters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The set has another size.
    #[error(
        "delta {delta} with {heavy} heavy consenters is for {expected} consenters (f = {faults}), and there are {actual}"
    )]
    Size {
        /// How many spare members.
        delta: usize,
        /// How many heavy ones.
        heavy: usize,
        /// The faults that the weights are made for.
        faults: usize,
        /// How many consenters that makes.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// Somebody heavy is none of them.
    #[error("heavy names consenter {0}, which is none of them")]
    NoMember(u32),
}

/// What a group goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The settings in force, in the one form that they have for these consenters.
    pub in_force: GroupSettings,
    /// Why the weights that were written are not in force, if they are not.
    pub misfit: Option<Misfit>,
}

/// The first setting in which two groups differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    key: &'static str,
    here: String,
    there: String,
}

/// The settings of every group before there were any: they stand in no group's id.
pub(crate) const PLAIN: GroupSettings = GroupSettings {
    fault_model: FaultModel::Byzantine,
    delta: 0,
    heavy: BTreeSet::new(),
    leaders: Vec::new(),
    window: 1,
    tentative: false,
};

impl Default for GroupSettings {
    fn default() -> Self {
        Self { window: Limits::default().instances_open_max, ..PLAIN }
    }
}

impl TryFrom<WrittenSettings> for GroupSettings {
    type Error = SettingsFlaw;

    fn try_from(written: WrittenSettings) -> Result<Self, SettingsFlaw> {
        let usual = Self::default();
        let heavy = written.heavy.unwrap_or_default();
        let settings = Self {
            fault_model: written.fault_model.unwrap_or_default(),
            delta: written.delta.unwrap_or(usual.delta),
            leaders: written.leaders.unwrap_or_default(),
            window: written.window.unwrap_or(usual.window),
            tentative: written.tentative.unwrap_or(usual.tentative),
            heavy: heavy.iter().copied().collect(),
        };
        if let Some(twice) = first_repeated(&heavy) {
            return Err(SettingsFlaw::HeavyTwice(twice));
        }
        settings.check()?;
        Ok(settings)
    }
}

impl From<GroupSettings> for WrittenSettings {
    fn from(settings: GroupSettings) -> Self {
        Self {
            fault_model: Some(settings.fault_model),
            delta: Some(settings.delta),
            heavy: Some(settings.heavy.into_iter().collect()),
            leaders: Some(settings.leaders),
            window: Some(settings.window),
            tentative: Some(settings.tentative),
        }
    }
}

impl SettingsFlaw {
    /// The setting at fault.
    #[must_use]
    pub const fn key(self) -> SettingKey {
        match self {
            Self::Window => SettingKey::Window,
            Self::NobodyHeavy(_) | Self::NoSpare | Self::OddHeavy(_) | Self::HeavyTwice(_) | Self::TooManyHeavy => {
                SettingKey::Heavy
            }
            Self::LeaderTwice(_) | Self::TooManyLeaders => SettingKey::Leaders,
            Self::TentativeCrash => SettingKey::Tentative,
        }
    }
}

impl GroupSettings {
    /// The settings of every group before there were any.
    #[must_use]
    pub const fn plain() -> Self {
        PLAIN
    }

    /// What a faulty member may do.
    #[must_use]
    pub const fn fault_model(&self) -> FaultModel {
        self.fault_model
    }

    /// How many spare members there are. 0: all weigh the same.
    #[must_use]
    pub const fn delta(&self) -> usize {
        self.delta
    }

    /// Consenter ids of the members that weigh more.
    #[must_use]
    pub const fn heavy(&self) -> &BTreeSet<u32> {
        &self.heavy
    }

    /// Consenter ids of those who lead first.
    #[must_use]
    pub fn leaders(&self) -> &[u32] {
        &self.leaders
    }

    /// How many instances may be open at once.
    #[must_use]
    pub const fn window(&self) -> u64 {
        self.window
    }

    /// Whether blocks are signed before they are decided, where a channel allows it.
    #[must_use]
    pub const fn is_tentative(&self) -> bool {
        self.tentative
    }

    /// Do these make quorums that Fabric's own policies are not made for, or blocks that leave before a quorum has decided?
    #[must_use]
    pub fn concern_policies(&self) -> bool {
        self.tentative || !self.heavy.is_empty() || self.fault_model == FaultModel::Crash
    }

    /// The faults that the weights are made for.
    #[must_use]
    pub fn weighted_faults(&self) -> usize {
        match self.fault_model {
            FaultModel::Byzantine => self.heavy.len() / 2,
            FaultModel::Crash => self.heavy.len(),
        }
    }

    /// What a group of the consenters with these ids, in ascending order, goes by: weights that do not fit them fall away, and
    /// so do leaders that are none of them. A function of the settings and the ids alone, so all members come to the same.
    #[must_use]
    pub fn settle(&self, ids: &[u32]) -> Settled {
        let misfit = self.misfit(ids);
        let mut in_force = Self { leaders: shortest_prefix(&self.leaders, ids), ..self.clone() };
        if misfit.is_some() {
            in_force.delta = 0;
            in_force.heavy = BTreeSet::new();
        }
        Settled { in_force, misfit }
    }

    /// The first setting in which these, those of this side, differ from those of another.
    #[must_use]
    pub fn difference(&self, there: &Self) -> Option<Difference> {
        self.shown()
            .into_iter()
            .zip(there.shown())
            .find_map(|((key, here), (_, there))| (here != there).then_some(Difference { key, here, there }))
    }

    /// One form of settings has one encoding: it is part of group ids and of handshakes.
    pub fn encode(&self, writer: &mut Writer) {
        writer.u8(VERSION);
        writer.u8(match self.fault_model {
            FaultModel::Byzantine => 0,
            FaultModel::Crash => 1,
        });
        writer.u16(self.delta as u16);
        encode_ids(writer, self.heavy.iter());
        encode_ids(writer, self.leaders.iter());
        writer.u64(self.window);
        writer.u8(u8::from(self.tentative));
    }

    /// Reads what another side says of itself. Whether it makes sense is its own affair.
    ///
    /// # Errors
    /// The bytes are no settings of this version.
    pub fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        match reader.u8()? {
            VERSION => {}
            other => return Err(CodecError::Tag(other)),
        }
        let fault_model = match reader.u8()? {
            0 => FaultModel::Byzantine,
            1 => FaultModel::Crash,
            other => return Err(CodecError::Tag(other)),
        };
        let delta = usize::from(reader.u16()?);
        let heavy = reader.list(IDS_MAX, ID_BYTES, Reader::u32)?;
        if !heavy.is_sorted_by(|one, next| one < next) {
            return Err(CodecError::Order);
        }
        let leaders = reader.list(IDS_MAX, ID_BYTES, Reader::u32)?;
        let (window, tentative) = (reader.u64()?, reader.bool()?);
        Ok(Self { fault_model, delta, heavy: heavy.into_iter().collect(), leaders, window, tentative })
    }

    /// All settings by name and in words.
    fn shown(&self) -> [(&'static str, String); 6] {
        let fault_model = match self.fault_model {
            FaultModel::Byzantine => "byzantine",
            FaultModel::Crash => "crash",
        };
        [
            ("fault_model", fault_model.to_owned()),
            ("delta", self.delta.to_string()),
            ("heavy", list(&self.heavy)),
            ("leaders", list(&self.leaders)),
            ("window", self.window.to_string()),
            ("tentative", self.tentative.to_string()),
        ]
    }

    fn check(&self) -> Result<(), SettingsFlaw> {
        if !(1..=INSTANCES_OPEN_MAX as u64).contains(&self.window) {
            return Err(SettingsFlaw::Window);
        }
        match (self.delta, self.heavy.len()) {
            (0, 0) => {}
            (0, _) => return Err(SettingsFlaw::NoSpare),
            (delta, 0) => return Err(SettingsFlaw::NobodyHeavy(delta)),
            (_, odd) if self.fault_model == FaultModel::Byzantine && odd % 2 == 1 => {
                return Err(SettingsFlaw::OddHeavy(odd));
            }
            _ => {}
        }
        if self.heavy.len().saturating_add(self.delta) > IDS_MAX {
            return Err(SettingsFlaw::TooManyHeavy);
        }
        if self.leaders.len() > IDS_MAX {
            return Err(SettingsFlaw::TooManyLeaders);
        }
        if let Some(twice) = first_repeated(&self.leaders) {
            return Err(SettingsFlaw::LeaderTwice(twice));
        }
        if self.tentative && self.fault_model == FaultModel::Crash {
            return Err(SettingsFlaw::TentativeCrash);
        }
        Ok(())
    }

    fn misfit(&self, ids: &[u32]) -> Option<Misfit> {
        if self.heavy.is_empty() {
            return None;
        }
        let faults = self.weighted_faults();
        let replicas_per_fault: usize = match self.fault_model {
            FaultModel::Byzantine => 3,
            FaultModel::Crash => 2,
        };
        let expected = replicas_per_fault.saturating_mul(faults).saturating_add(1).saturating_add(self.delta);
        if expected != ids.len() {
            let (delta, heavy, actual) = (self.delta, self.heavy.len(), ids.len());
            return Some(Misfit::Size { delta, heavy, faults, expected, actual });
        }
        self.heavy.iter().find(|id| !ids.contains(id)).map(|&id| Misfit::NoMember(id))
    }
}

/// As it is written.
impl fmt::Display for SettingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Heavy => "heavy",
            Self::Leaders => "leaders",
            Self::Window => "window",
            Self::Tentative => "tentative",
        })
    }
}

/// In words, for a line of a log or a table: what is as it was before there were settings is left away.
impl fmt::Display for GroupSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "window {}", self.window)?;
        if !self.heavy.is_empty() {
            write!(formatter, "; delta {}, heavy {}", self.delta, list(&self.heavy))?;
        }
        if !self.leaders.is_empty() {
            write!(formatter, "; led first by {}", list(&self.leaders))?;
        }
        if self.tentative {
            formatter.write_str("; tentative")?;
        }
        if self.fault_model == FaultModel::Crash {
            formatter.write_str("; crash faults only")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.between("here", "there"))
    }
}

impl Difference {
    /// In words, with names for the two sides.
    #[must_use]
    pub fn between(&self, here: &str, there: &str) -> String {
        format!("`{}` is {} {here} and {} {there}", self.key, self.here, self.there)
    }
}

fn encode_ids<'a>(writer: &mut Writer, ids: impl ExactSizeIterator<Item = &'a u32>) {
    writer.count(ids.len());
    for id in ids {
        writer.u32(*id);
    }
}

fn list<'a>(ids: impl IntoIterator<Item = &'a u32>) -> String {
    let ids: Vec<String> = ids.into_iter().map(u32::to_string).collect();
    if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") }
}

fn first_repeated(ids: &[u32]) -> Option<u32> {
    let mut seen = BTreeSet::new();
    ids.iter().copied().find(|id| !seen.insert(*id))
}

/// Of the named leaders those that are members, without the last ones whose turn it would be anyway: one order of leaders has
/// one form.
fn shortest_prefix(leaders: &[u32], ids: &[u32]) -> Vec<u32> {
    let mut named: Vec<u32> = leaders.iter().copied().filter(|id| ids.contains(id)).collect();
    while let Some(last) = named.last() {
        let comes_anyway = ids.iter().find(|id| !named[..named.len() - 1].contains(id)) == Some(last);
        if !comes_anyway {
            break;
        }
        named.pop();
    }
    named
}

/// The version of the encoding.
const VERSION: u8 = 1;

/// Bytes of an encoded consenter id.
const ID_BYTES: usize = 4;

/// As many consenters as a group can have.
const IDS_MAX: usize = mod_smart::quorum::REPLICAS_MAX;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<GroupSettings, SettingsFlaw> {
        toml::from_str::<WrittenSettings>(text).unwrap().try_into()
    }

    fn settings(text: &str) -> GroupSettings {
        written(text).unwrap()
    }

    #[test]
    fn what_is_not_written_keeps_its_default() {
        assert_eq!(settings(""), GroupSettings::default());
        assert_eq!(settings("window = 1"), PLAIN);
        let all = settings(
            "fault_model = \"byzantine\"\ndelta = 1\nheavy = [2, 1]\nleaders = [3, 1]\nwindow = 4\ntentative = true",
        );
        assert_eq!((all.delta(), all.window(), all.is_tentative(), all.leaders()), (1, 4, true, &[3, 1][..]));
        assert_eq!(all.to_string(), "window 4; delta 1, heavy 1, 2; led first by 3, 1; tentative");
        assert_eq!(toml::from_str::<GroupSettings>(&toml::to_string(&all).unwrap()).unwrap(), all);
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_key() {
        let cases = [
            ("window = 0", SettingsFlaw::Window),
            ("window = 33", SettingsFlaw::Window),
            ("delta = 1", SettingsFlaw::NobodyHeavy(1)),
            ("heavy = [1, 2]", SettingsFlaw::NoSpare),
            ("delta = 1\nheavy = [1, 2, 3]", SettingsFlaw::OddHeavy(3)),
            ("delta = 1\nheavy = [1, 1]", SettingsFlaw::HeavyTwice(1)),
            ("leaders = [2, 3, 2]", SettingsFlaw::LeaderTwice(2)),
            ("fault_model = \"crash\"\ntentative = true", SettingsFlaw::TentativeCrash),
        ];
        for (text, flaw) in cases {
            assert_eq!(written(text), Err(flaw), "{text}");
        }
        assert_eq!(SettingsFlaw::NoSpare.key(), SettingKey::Heavy);
        assert!(toml::from_str::<GroupSettings>("window = 0").unwrap_err().to_string().contains("from 1 to 32"));
    }

    #[test]
    fn weights_are_in_force_for_the_consenters_that_they_are_made_for_and_for_no_others() {
        let weighted = settings("delta = 1\nheavy = [1, 2]\nwindow = 4");
        assert_eq!(weighted.settle(&[1, 2, 3, 4, 5]), Settled { in_force: weighted.clone(), misfit: None });
        let four = weighted.settle(&[1, 2, 3, 4]);
        assert_eq!(four.in_force, settings("window = 4"), "the rest stays");
        let why = "delta 1 with 2 heavy consenters is for 5 consenters (f = 1), and there are 4";
        assert_eq!(four.misfit.unwrap().to_string(), why);
        let others = weighted.settle(&[2, 3, 4, 5, 6]);
        assert_eq!(others.misfit, Some(Misfit::NoMember(1)));
        assert_eq!(others.in_force, settings("window = 4"));
        let crash = settings("fault_model = \"crash\"\ndelta = 1\nheavy = [4]");
        assert_eq!((crash.weighted_faults(), crash.settle(&[3, 4, 5, 6]).misfit), (1, None));
    }

    #[test]
    fn one_order_of_leaders_has_one_form() {
        let ids = [1, 2, 3, 4];
        let settled = |leaders: &str| settings(&format!("leaders = {leaders}")).settle(&ids).in_force;
        assert_eq!(settled("[1, 2]"), settled("[]"));
        assert_eq!(settled("[3, 1, 2, 4]"), settled("[3]"));
        assert_eq!(settled("[9, 3]"), settled("[3]"), "nobody leads that is no member");
        assert_eq!(settled("[3, 2]").leaders(), [3, 2]);
    }

    #[test]
    fn settings_survive_their_bytes_and_nothing_else_is_read_as_settings() {
        let all = settings("delta = 1\nheavy = [1, 2]\nleaders = [3, 1]\nwindow = 4\ntentative = true");
        let crash = settings("fault_model = \"crash\"");
        for settings in [all, crash, PLAIN] {
            let mut writer = Writer::default();
            settings.encode(&mut writer);
            let bytes = writer.finish();
            assert_eq!(GroupSettings::decode(&mut Reader::new(bytes.clone())), Ok(settings));
            for end in 0..bytes.len() {
                assert!(GroupSettings::decode(&mut Reader::new(bytes.slice(..end))).is_err());
            }
        }
        assert_eq!(GroupSettings::decode(&mut Reader::new(vec![2].into())), Err(CodecError::Tag(2)));
        let unordered = [&[1, 0, 0, 1, 0, 0, 0, 2][..], &2_u32.to_be_bytes(), &1_u32.to_be_bytes()].concat();
        assert_eq!(GroupSettings::decode(&mut Reader::new(unordered.into())), Err(CodecError::Order));
    }

    #[test]
    fn the_first_difference_is_named() {
        let (here, there) = (settings("window = 4\ndelta = 1\nheavy = [1, 2]"), settings("window = 1"));
        assert_eq!(here.difference(&there).unwrap().to_string(), "`delta` is 1 here and 0 there");
        let heavier = settings("window = 4\ndelta = 1\nheavy = [1, 3]");
        assert_eq!(here.difference(&heavier).unwrap().to_string(), "`heavy` is 1, 2 here and 1, 3 there");
        assert_eq!(here.difference(&here), None);
    }
}
