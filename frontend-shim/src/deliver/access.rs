//! Whether the creator of a request may read now, and may still (contract §1.4, step 5 and the loop for each block).

use fabric_channel::filters::{self, ReaderReject};
use fabric_proto::Envelope;
use fabric_proto::common::Status;

use crate::authentication::Timing;
use crate::channels::Channel;
use crate::judge_pool::JudgePool;

/// The right of one request to be served. What was judged holds until the channel has another configuration; the
/// creator's certificate may expire at any time.
pub(super) struct Access {
    request: Envelope,
    pool: JudgePool,
    timing: Timing,
    judged: Option<Judged>,
}

#[derive(Clone, Copy, Debug)]
struct Judged {
    /// The config sequence in force then.
    sequence: u64,
    /// When the creator's certificate ends, in seconds since 1970.
    expires_at: Option<i64>,
}

/// Why no block is given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AccessReject {
    #[error("the creator's certificate has expired")]
    Expired,
    #[error(transparent)]
    Reader(#[from] ReaderReject),
    #[error("the request could not be judged")]
    Panicked,
}

impl AccessReject {
    pub fn status(&self) -> Status {
        match self {
            Self::Expired | Self::Reader(_) => Status::Forbidden,
            Self::Panicked => Status::InternalServerError,
        }
    }
}

impl Access {
    pub fn new(request: Envelope, pool: JudgePool, timing: Timing) -> Self {
        Self { request, pool, timing, judged: None }
    }

    /// Looks at the clock, and evaluates the policy if the configuration is another one than the last time.
    pub async fn check(&mut self, channel: &Channel) -> Result<(), AccessReject> {
        let config = channel.config();
        let sequence = config.sequence();
        let judged = match self.judged {
            Some(judged) if sequence <= judged.sequence => judged,
            _ => {
                let request = self.request.clone();
                let room = self.pool.acquire(request.bytes().len()).await.ok_or(AccessReject::Panicked)?;
                let judging = self.pool.run(room, move || {
                    let creator = request.signature_header().map_or(&[][..], |header| &header.creator);
                    filters::check_reader(&config, &request).map(|()| filters::expires_at(&config, creator))
                });
                let expires_at = judging.await.ok_or(AccessReject::Panicked)??;
                *self.judged.insert(Judged { sequence, expires_at })
            }
        };
        if judged.expires_at.is_some_and(|end| self.timing.moment().is_after(end)) {
            return Err(AccessReject::Expired);
        }
        Ok(())
    }
}
