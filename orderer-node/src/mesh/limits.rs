//! Every bound and wait of the mesh.

use std::time::Duration;

/// Bounds and waits of the links of one mesh. The defaults are for production; tests shorten them.
#[derive(Clone, Debug)]
pub struct MeshLimits {
    /// Bytes that may wait to be sent to one peer; a single larger frame is taken alone.
    pub queue_bytes_max: usize,
    /// Frames that may wait to be sent to one peer.
    pub queue_frames_max: usize,
    /// Bytes of one peer's messages that may be between its socket and the core; a larger message counts as this many.
    pub inflight_bytes_max: u32,
    /// Messages of one peer that may be between its socket and the core.
    pub inflight_frames_max: u32,
    /// The wait before a peer is dialled again, at first.
    pub redial_min: Duration,
    /// The wait before a peer is dialled again, at most.
    pub redial_max: Duration,
    /// The same while a link from that peer stands: then it is up, and what keeps us out is about to pass.
    pub redial_heard_max: Duration,
    /// How long a link must have stood for the next wait to be the shortest again.
    pub steady_after: Duration,
    /// How long a link must have been down for what waits to be outdated: it is forgotten, the core starts from
    /// [`super::MeshEvent::Connected`].
    pub outdated_after: Duration,
    /// How often the dialer asks whether the other side is still there.
    pub ping_interval: Duration,
    /// How long the other side may say nothing, and how long a write may stand still.
    pub silence_max: Duration,
    /// How long a peer that sent garbage is kept out.
    pub penalty: Duration,
}

impl Default for MeshLimits {
    fn default() -> Self {
        Self {
            queue_bytes_max: 32 << 20,
            queue_frames_max: 1 << 16,
            inflight_bytes_max: 32 << 20,
            inflight_frames_max: 4096,
            redial_min: Duration::from_millis(50),
            redial_max: Duration::from_secs(2),
            redial_heard_max: Duration::from_millis(200),
            steady_after: Duration::from_secs(10),
            outdated_after: Duration::from_secs(2),
            ping_interval: Duration::from_secs(3),
            silence_max: Duration::from_secs(15),
            penalty: Duration::from_secs(1),
        }
    }
}

impl MeshLimits {
    /// What a message counts for: its bytes, but so much at least that the number of messages is bounded as well.
    pub(super) fn charge(&self, bytes: usize) -> u32 {
        let bytes_min = self.inflight_bytes_max.div_ceil(self.inflight_frames_max.max(1)).max(1);
        u32::try_from(bytes).unwrap_or(u32::MAX).clamp(bytes_min, self.inflight_bytes_max.max(bytes_min))
    }

    /// Room for everything that the peers may have in flight, so that one of them never waits for another.
    pub(super) fn events_max(&self, peers: usize) -> usize {
        (self.inflight_frames_max as usize + LINK_EVENTS_MAX) * peers.max(1)
    }

    /// How long writing so many bytes may take: a slow link is fine, one that stands still is not.
    pub(super) fn write_time_max(&self, bytes: usize) -> Duration {
        self.silence_max + Duration::from_secs((bytes / BYTES_PER_SECOND_MIN) as u64)
    }
}

/// Room for Connected and Disconnected beside a peer's messages.
const LINK_EVENTS_MAX: usize = 64;

/// The slowest link that is any good.
const BYTES_PER_SECOND_MIN: usize = 64 << 10;

/// Connections under one certificate whose other end has not said Hello yet: more than the groups two nodes share, and
/// few enough that nobody can take the others' places.
pub(super) const GREETINGS_PER_KEY_MAX: usize = 16;

/// How long the other side has for its Hello.
pub(super) const HELLO_TIME_MAX: Duration = Duration::from_secs(5);

/// A pause after an introduction that was not believed: checking it has cost us two signatures.
pub(super) const INTRODUCTION_PAUSE: Duration = Duration::from_millis(1);

/// How long the other side has to take the reason of a refusal.
pub(super) const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);
