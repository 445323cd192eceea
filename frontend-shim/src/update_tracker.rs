//! Configuration updates on their way: a CONFIG that another one has overtaken is wrapped again.
//!
//! A CONFIG envelope leads on from one config sequence and no other. If another configuration comes into force first, the
//! nodes leave ours out, although its submitter was told that it is taken; so whoever wrapped it follows it. As soon as a
//! new configuration is in force without it, its original update is judged anew: what is still good is submitted again,
//! what is not is dropped with one line that says who, what and why. Bounded in updates and bytes, and in time. Nothing of
//! it is kept on disk: after a restart its submitter has to look whether the update has come into force, as after any
//! orderer's. Contract §2.6.

use std::sync::Arc;
use std::time::Duration;

use fabric_channel::ConfigContent;
use fabric_proto::Envelope;
use fabric_proto::common::{Block, Status};
use fabric_proto::metadata::last_config_index;
use futures::future::BoxFuture;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::admission::{Refusal, Signer};
use crate::authentication::Timing;
use crate::broadcast::{Submit, SubmitError};
use crate::channels::{Channel, ChannelState};
use crate::config_update::{WrappedUpdate, wrap_update};
use crate::ledger::Ledger;
use crate::limits::{
    UPDATE_ATTEMPTS_MAX, UPDATE_OVERHEAD_BYTES, UPDATE_RETRY_AFTER, UPDATE_TRACKED_MAX, UPDATES_BYTES_MAX,
};

/// Submits wrapped updates and follows them. Clones share the bound.
#[derive(Clone)]
pub(crate) struct UpdateTracker {
    submit: Arc<dyn Submit>,
    room: Arc<Semaphore>,
}

/// An update that is followed until it is in force, or is not going to be.
struct Tracked {
    channel: Arc<Channel>,
    submit: Arc<dyn Submit>,
    signer: Signer,
    timing: Timing,
    update: WrappedUpdate,
    until: Instant,
    _room: OwnedSemaphorePermit,
}

/// What has become of an update now that a newer configuration is in force.
enum Fate {
    /// It is part of the channel's configuration.
    InForce,
    /// The ledger does not hold the newest configuration yet.
    NotKnownYet,
    /// Another one came first, and it still can be.
    Overtaken(Box<WrappedUpdate>),
    /// Another one came first, and now it cannot.
    Refused(Refusal),
}

impl UpdateTracker {
    pub(crate) fn new(submit: Arc<dyn Submit>) -> Self {
        Self { submit, room: Arc::new(Semaphore::new(UPDATES_BYTES_MAX)) }
    }

    /// Submits an update, and follows it from then on if it is taken, whether or not its client waits for the answer.
    pub(crate) fn submit(
        &self,
        channel: Arc<Channel>,
        update: WrappedUpdate,
        signer: Signer,
        timing: Timing,
    ) -> BoxFuture<'static, Result<(), Refusal>> {
        // Both envelopes are kept, and no update is larger than the whole bound: nothing above 4 MiB is wrapped.
        let bytes = update.config.len() + update.update.bytes().len() + UPDATE_OVERHEAD_BYTES;
        let Ok(room) = self.room.clone().try_acquire_many_owned(bytes.min(UPDATES_BYTES_MAX) as u32) else {
            let info = "too many config updates are under way, try again later";
            return Box::pin(std::future::ready(Err(Refusal::new(Status::ServiceUnavailable, info))));
        };
        let until = Instant::now() + UPDATE_TRACKED_MAX;
        let tracked = Tracked { channel, submit: self.submit.clone(), signer, timing, update, until, _room: room };
        let (done, taken) = oneshot::channel();
        tokio::spawn(async move {
            let result = tracked.submit_first().await;
            let is_taken = result.is_ok();
            // A client that has gone does not want to know.
            let _ = done.send(result);
            if is_taken {
                tracked.follow().await;
            }
        });
        Box::pin(async move {
            let result = taken.await.unwrap_or(Err(SubmitError::Closed));
            result.map_err(|error| Refusal::new(error.status(), error.to_string()))
        })
    }
}

impl Tracked {
    fn submit(&self) -> BoxFuture<'static, Result<(), SubmitError>> {
        self.submit.submit(self.channel.id(), self.update.order())
    }

    /// Other consenters have to be there before a channel is given to them.
    async fn submit_first(&self) -> Result<(), SubmitError> {
        if let Some(next) = &self.update.moves_to {
            self.submit.check_move(self.channel.id(), Arc::clone(next)).await?;
        }
        self.submit().await
    }

    /// Until the update is in force, refused, given up, or its channel is gone.
    async fn follow(mut self) {
        let mut sequences = self.channel.watch_sequence();
        let mut states = self.channel.watch_state();
        loop {
            let from = self.update.sequence;
            tokio::select! {
                moved = sequences.wait_for(|sequence| *sequence > from) => if moved.is_err() { return },
                _ = states.wait_for(|state| *state == ChannelState::Closed) => return,
                () = tokio::time::sleep_until(self.until) => return self.give_up("it has not come into force"),
            }
            self = match self.look_again().await {
                Some((_, Fate::InForce)) | None => return,
                Some((tracked, Fate::Refused(refusal))) => return tracked.give_up(&refusal.info),
                Some((tracked, Fate::NotKnownYet)) => {
                    tokio::time::sleep(LEDGER_CHECKED_AFTER).await;
                    if Instant::now() >= tracked.until {
                        return tracked.give_up("nobody can say whether it has come into force");
                    }
                    tracked
                }
                Some((mut tracked, Fate::Overtaken(update))) => {
                    tracked.update = *update;
                    tracked.say_again();
                    if let Err(error) = tracked.submit_again().await {
                        return tracked.give_up(&error.to_string());
                    }
                    tracked
                }
            };
        }
    }

    /// Reads the ledger and evaluates the update, which takes longer than a task may. `None` if that panicked.
    async fn look_again(self) -> Option<(Self, Fate)> {
        let looking = tokio::task::spawn_blocking(move || {
            let fate = fate(&self.channel, &self.update, &self.signer, &self.timing);
            (self, fate)
        });
        looking.await.ok()
    }

    /// What was promised to a client is not dropped because the nodes are out of reach for a moment.
    async fn submit_again(&self) -> Result<(), SubmitError> {
        let mut attempt = 1;
        loop {
            match self.submit().await {
                Err(error) if attempt == UPDATE_ATTEMPTS_MAX => return Err(error),
                Err(_) => tokio::time::sleep(UPDATE_RETRY_AFTER).await,
                Ok(()) => return Ok(()),
            }
            attempt += 1;
        }
    }

    fn say_again(&self) {
        let WrappedUpdate { sequence, submitter, changes, .. } = &self.update;
        let channel = self.channel.id();
        tracing::info!(
            "channel {channel}: another config update came first, so that of {submitter} to {changes} is submitted \
             again, for config sequence {}",
            sequence.wrapping_add(1)
        );
    }

    fn give_up(&self, why: &str) {
        let WrappedUpdate { submitter, changes, .. } = &self.update;
        let channel = self.channel.id();
        tracing::warn!("channel {channel}: the config update of {submitter} to {changes} is dropped: {why}");
    }
}

fn fate(channel: &Channel, update: &WrappedUpdate, signer: &Signer, timing: &Timing) -> Fate {
    let config = channel.config();
    match is_ordered(channel.ledger(), update, config.sequence()) {
        Some(true) => return Fate::InForce,
        Some(false) => {}
        None => return Fate::NotKnownYet,
    }
    match wrap_update(&config, &update.update, &**signer, timing.moment()) {
        Ok(again) => Fate::Overtaken(Box::new(again)),
        Err(refusal) => Fate::Refused(refusal),
    }
}

/// Looks through the config blocks after the sequence that the update led on from, the newest first. `None` if the ledger
/// does not hold the configuration in force yet, or cannot be read.
fn is_ordered(ledger: &Ledger, update: &WrappedUpdate, in_force: u64) -> Option<bool> {
    let newest = ledger.height().checked_sub(1)?;
    let mut number = last_config_index(&read(ledger, newest)?).ok()?;
    let mut content = config_content(&read(ledger, number)?)?;
    if content.config.as_ref()?.sequence < in_force {
        return None;
    }
    while content.config.as_ref()?.sequence > update.sequence {
        // Whoever wrapped it: the update counts, not the envelope around it.
        if content.last_update.as_ref().is_some_and(|ordered| ordered.payload == *update.update.payload()) {
            return Some(true);
        }
        number = last_config_index(&read(ledger, number.checked_sub(1)?)?).ok()?;
        content = config_content(&read(ledger, number)?)?;
    }
    Some(false)
}

fn read(ledger: &Ledger, number: u64) -> Option<Block> {
    Block::decode(ledger.read(number).ok()??.encoded()).ok()
}

fn config_content(block: &Block) -> Option<ConfigContent> {
    let envelope = Envelope::decode(block.entries().first()?.clone()).ok()?;
    ConfigContent::decode(envelope.data()).ok()
}

const LEDGER_CHECKED_AFTER: Duration = Duration::from_millis(50);
