//! The kinds of faults that a world can know, beside liars.

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A process is killed and starts again.
    Kill,
    /// A machine loses power.
    PowerLoss,
    /// A machine loses power between two actions of its replica.
    PowerLossBetween,
    /// All machines lose power at once.
    PowerLossOfAll,
    /// A process is stopped for a while.
    Pause,
    /// The replicas fall into two parts that do not hear each other.
    Partition,
    /// One replica hears nobody, or nobody hears it.
    OneWay,
    /// Nothing passes between the leader and the others.
    LeaderCut,
    /// A link holds everything back and then releases it at once.
    Clog,
    /// Messages are lost.
    Loss,
    /// Messages are repeated.
    Repeat,
    /// Messages overtake each other.
    Reorder,
    /// All links are slow.
    SlowLinks,
    /// A disk is slow.
    SlowDisk,
    /// A disk is full for a while.
    FullDisk,
    /// A disk reports syncs that it did not do, and then loses power.
    LostSync,
    /// A disk comes back empty.
    WipedDisk,
    /// A synced byte changes.
    CorruptDisk,
    /// A synced sector stands in another one's place.
    MisdirectedWrite,
    /// A frontend starts again.
    FrontendRestart,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 20] = [
        Self::Kill,
        Self::PowerLoss,
        Self::PowerLossBetween,
        Self::PowerLossOfAll,
        Self::Pause,
        Self::Partition,
        Self::OneWay,
        Self::LeaderCut,
        Self::Clog,
        Self::Loss,
        Self::Repeat,
        Self::Reorder,
        Self::SlowLinks,
        Self::SlowDisk,
        Self::FullDisk,
        Self::LostSync,
        Self::WipedDisk,
        Self::CorruptDisk,
        Self::MisdirectedWrite,
        Self::FrontendRestart,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "process killed",
            Self::PowerLoss => "power lost",
            Self::PowerLossBetween => "power lost between actions",
            Self::PowerLossOfAll => "power of all lost",
            Self::Pause => "process paused",
            Self::Partition => "partition",
            Self::OneWay => "one-way cut",
            Self::LeaderCut => "leader cut off",
            Self::Clog => "clogged link",
            Self::Loss => "messages lost for a while",
            Self::Repeat => "messages repeated for a while",
            Self::Reorder => "messages reordered for a while",
            Self::SlowLinks => "slow links",
            Self::SlowDisk => "slow disk",
            Self::FullDisk => "full disk",
            Self::LostSync => "lost sync",
            Self::WipedDisk => "wiped disk",
            Self::CorruptDisk => "corrupt disk",
            Self::MisdirectedWrite => "misdirected write",
            Self::FrontendRestart => "frontend restarted",
        }
    }
}
