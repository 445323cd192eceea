//! The numbers and names of the protocol, one type each, so that no two of them can be mixed up.

use std::fmt;

use sha2::{Digest as _, Sha256};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one. Saturates: no run of the protocol reaches 2^64.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// One run of VP-Consensus, deciding one batch. Numbered without gaps; the first instance is 1, so 0 means
    /// "nothing delivered yet".
    InstanceId
}
number! {
    /// A numbered reign of one leader. Only grows.
    Regency
}
number! {
    /// An attempt inside an instance: equal to the regency it runs in.
    Epoch
}
number! {
    /// One life of a client: a client that restarts takes a greater number. The shell uses the start time in microseconds.
    SessionId
}
number! {
    /// Number of a request inside its session; the first is 1.
    Sequence
}

impl From<Regency> for Epoch {
    fn from(regency: Regency) -> Self {
        Self(regency.0)
    }
}

/// A member of an ordering group, numbered `0..n` in the order of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u16);

impl ReplicaId {
    /// The position of this replica in the view.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            /// The first eight hexadecimal digits: enough to tell two apart in a log line.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in &self.0[..4] {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

bytes32! {
    /// SHA-256 of a request or of a batch.
    Digest
}
bytes32! {
    /// Names an ordering group; the domain of every signature made in it.
    GroupId
}
bytes32! {
    /// Names a frontend: its Ed25519 public key.
    FrontendId
}

impl Digest {
    /// Hashes a batch: the digests of its requests, in order. An empty batch (a no-op) has a digest too.
    #[must_use]
    pub fn of_batch(requests: &[Self]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"mod-smart batch 1");
        hash.update((requests.len() as u64).to_be_bytes());
        for digest in requests {
            hash.update(digest.0);
        }
        Self(hash.finalize().into())
    }
}

/// Who a request comes from: a frontend, or a replica acting for itself (a cut by time, the opening of a channel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// A member of the group; sealed with its vote key.
    Replica(ReplicaId),
    /// A frontend; sealed with the key that names it.
    Frontend(FrontendId),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(id) => write!(f, "replica {id}"),
            Self::Frontend(id) => write!(f, "frontend {id}"),
        }
    }
}

/// Identifies a request: at most one body is ever ordered under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// Who asks.
    pub client: Client,
    /// In which of its lives.
    pub session: SessionId,
    /// Which request of that life.
    pub sequence: Sequence,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.client, self.session, self.sequence)
    }
}

/// An instant of the shell's monotonic clock, in nanoseconds since an origin of its choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// This instant plus a duration; saturates.
    #[must_use]
    pub fn after(self, wait: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }
}
