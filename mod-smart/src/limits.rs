//! Every bound of the core, in one place.

use std::time::Duration;

/// Most requests in one batch, whatever the configuration says: bounds what a decoder accepts.
pub const BATCH_REQUESTS_MAX: usize = 4096;

/// Most decisions in one message of catching up.
pub const DECISIONS_PER_MESSAGE_MAX: usize = 256;

/// Most bytes of bodies in one message of catching up or of fetched bodies, unless a single request is larger.
pub const BODIES_PER_MESSAGE_BYTES_MAX: usize = 8 << 20;

/// The widest window of open instances (alpha) that can be configured: bounds what a STOPDATA carries.
pub const INSTANCES_OPEN_MAX: usize = 32;

/// Bytes of a chunk of a state; the last one may be shorter.
pub const STATE_CHUNK_BYTES: usize = 256 << 10;

/// Most chunks of a state: 4 GiB.
pub const STATE_CHUNKS_MAX: usize = 16 << 10;

/// Chunks that a replica waits for at once while it takes over a state.
pub const CHUNKS_ASKED_MAX: usize = 32;

/// Chunks that it waits for from one other replica.
pub const CHUNKS_ASKED_PER_HELPER_MAX: usize = 4;

/// Chunks given to one other replica in a fetch interval.
pub const CHUNKS_SERVED_MAX: u32 = 64;

/// Checkpoint votes that are kept of each replica: its newest.
pub const CHECKPOINT_VOTES_MAX: usize = 4;

/// States of this replica that are kept to be given away: the newest.
pub const CHECKPOINTS_KEPT_MAX: usize = 2;

/// Sessions a client can have open at once. One more ends the oldest.
pub const SESSIONS_MAX: usize = 16;

/// Clients the replicated state remembers. One more forgets the client that was silent for the greatest number of
/// instances.
pub const CLIENTS_MAX: usize = 1024;

/// What the members of a group may set. The defaults are those of `PROTOCOL.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most requests a leader puts in a batch. At most [`BATCH_REQUESTS_MAX`].
    pub batch_requests_max: usize,
    /// Most bytes of bodies a leader puts in a batch, unless its first request alone is larger.
    pub batch_bytes_max: usize,
    /// Most bytes of bodies that wait to be ordered.
    pub pending_bytes_max: usize,
    /// Share of `pending_bytes_max` that one client may fill.
    pub client_pending_bytes_max: usize,
    /// Bytes kept free for bodies that other replicas proposed and this one lacks.
    pub fetched_bytes_reserve: usize,
    /// Width of a session's window: nothing at or beyond the lowest unordered number plus this is admitted.
    pub session_window: u64,
    /// Instances that may be open at once (alpha).
    pub instances_open_max: u64,
    /// Are batches given to the application as soon as a quorum has written them ([`crate::Action::DeliverTentatively`])?
    pub tentative: bool,
    /// Instances beyond the open ones for which votes and proposals that came early are kept. When half of these are in use, or half a checkpoint interval, the
    /// decisions that must have been missed are asked for; the other half is for what comes until they are here, because nobody
    /// says it again.
    pub instances_early_max: u64,
    /// How long a request waits to be ordered before it is offered to every replica, the leader among them; after twice
    /// as long the leader is stopped. The floor of a timeout that follows measured decision times.
    pub request_timeout: Duration,
    /// The cap of that timeout.
    pub request_timeout_max: Duration,
    /// What a decision may take on average without anybody being too slow: for groups whose members are farther apart than
    /// what a leader is believed about. None says nothing.
    pub decision_time: Duration,
    /// A leader is never too slow while an instance takes less than this on average.
    pub pace_floor: Duration,
    /// Instances over which the pace of a leader is averaged.
    pub pace_window: u64,
    /// How often a replica says where it stands.
    pub status_interval: Duration,
    /// How long after asking for a body or a decision it asks somebody else.
    pub fetch_interval: Duration,
    /// Decisions between two checkpoints.
    pub checkpoint_interval: u64,
    /// How long a new group waits for its last members before it begins without them.
    pub founding_patience: Duration,
    /// How often at most a regency is changed to readmit the same replica after it lost its disk.
    pub readmission_interval: Duration,
    /// How often at most the same leader is obeyed when it hands over.
    pub hand_over_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_requests_max: 400,
            batch_bytes_max: 8 << 20,
            pending_bytes_max: 512 << 20,
            client_pending_bytes_max: 192 << 20,
            fetched_bytes_reserve: 64 << 20,
            session_window: 4096,
            instances_open_max: 1,
            tentative: false,
            instances_early_max: 32,
            request_timeout: Duration::from_millis(400),
            request_timeout_max: Duration::from_secs(10),
            decision_time: Duration::ZERO,
            pace_floor: Duration::from_millis(50),
            pace_window: 16,
            status_interval: Duration::from_millis(500),
            fetch_interval: Duration::from_millis(200),
            checkpoint_interval: 150,
            founding_patience: Duration::from_secs(3),
            readmission_interval: Duration::from_secs(600),
            hand_over_interval: Duration::from_secs(60),
        }
    }
}
