//! Judges the bodies of requests by the configurations in force at this node, ahead of the replica.
//!
//! The application says which these are whenever one changes. A body that names a later one waits for it, within bounds
//! that whoever sent the body has to share with nobody but itself.

use std::sync::Arc;
use std::time::Duration;

use blockcutter::{Configurations, Objection, Verification};
use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::stages::Stage;
use mod_smart::{Client, Request, Sealed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Tells judges which configurations are in force.
#[derive(Clone, Debug)]
pub struct InForce(watch::Sender<Arc<Configurations>>);

/// Judges bodies. Clones share what they know.
#[derive(Clone, Debug)]
pub struct BodyJudge {
    configurations: watch::Receiver<Arc<Configurations>>,
    verification: Verification,
}

impl BodyJudge {
    /// A judge that knows of no configuration yet, and who is to tell it.
    #[must_use]
    pub fn new(verification: Verification) -> (InForce, Self) {
        let (sender, configurations) = watch::channel(Arc::default());
        (InForce(sender), Self { configurations, verification })
    }

    /// May our replica hold this body?
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, body: &Bytes, origin: Client) -> Result<(), Objection> {
        let configurations = Arc::clone(&self.configurations.borrow());
        let stage = match self.verification {
            Verification::Full => Stage::VerifyClient,
            Verification::Frontends => Stage::Decode,
        };
        stage.within(|| blockcutter::judge(body, origin, &configurations, self.verification))
    }

    /// The configurations in force, and when they change.
    #[must_use]
    pub fn configurations(&self) -> watch::Receiver<Arc<Configurations>> {
        self.configurations.clone()
    }

    /// As [`Self::judge`], for all of these.
    ///
    /// # Errors
    /// The first objection.
    pub fn judge_all(&self, requests: &[Sealed<Request>]) -> Result<(), Objection> {
        requests.iter().map(Sealed::value).try_for_each(|request| self.judge(&request.body, request.id.client))
    }

    /// Waits until this configuration is in force, or was. Says if it came in time.
    pub async fn wait_for(&self, channel: &ChannelId, sequence: u64) -> bool {
        let mut configurations = self.configurations.clone();
        let is_there = |known: &Arc<Configurations>| known.get(channel).is_some_and(|it| it.sequence() >= sequence);
        let waited = tokio::time::timeout(AHEAD_WAIT_MAX, configurations.wait_for(is_there)).await;
        matches!(waited, Ok(Ok(_)))
    }
}

impl InForce {
    /// These are in force now.
    pub fn set(&self, configurations: Configurations) {
        self.0.send_replace(Arc::new(configurations));
    }
}

/// Room for what one sender sent ahead of its time.
#[derive(Clone, Debug)]
pub struct WaitingRoom(Arc<Semaphore>);

impl Default for WaitingRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WAITING_BYTES_MAX)))
    }
}

impl WaitingRoom {
    /// A place for so many bytes, if there is one. What is larger than the room may have all of it.
    #[must_use]
    pub fn enter(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let share = u32::try_from(bytes.clamp(1, WAITING_BYTES_MAX)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(share).ok()
    }
}

/// Bytes that one sender may have waiting here. What finds no room is sent again by a correct sender.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Longer than a node that takes part is behind another.
const AHEAD_WAIT_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use blockcutter::{Command, command};
    use mod_smart::{FrontendId, InstanceId, ReplicaId};

    use super::*;

    fn body(channel: &ChannelId) -> Bytes {
        let envelope = Bytes::from_static(include_bytes!("../../integration/tests/data/bft/endorser_tx_envelope.pb"));
        command::encode(&[Command::Envelopes { channel: channel.clone(), sequence: 0, envelopes: vec![envelope] }])
    }

    fn configurations() -> Configurations {
        let genesis = Bytes::from_static(include_bytes!("../../integration/tests/data/bft/genesis.block"));
        let mut ordering = blockcutter::Ordering::new(mod_smart::View::flat(mod_smart::GroupId([1; 32]), 1).unwrap());
        let channel = ChannelId::new("bftch").unwrap();
        let open = command::encode(&[Command::OpenChannel { channel, genesis }]);
        ordering.apply(InstanceId(1), Client::Replica(ReplicaId(0)), &open, &mut Vec::new());
        ordering.configurations()
    }

    #[tokio::test]
    async fn what_names_a_later_configuration_waits_until_it_is_in_force() {
        let (in_force, judge) = BodyJudge::new(Verification::Full);
        let (channel, frontend) = (ChannelId::new("bftch").unwrap(), Client::Frontend(FrontendId([1; 32])));
        let ahead = Objection::Ahead { channel: channel.clone(), sequence: 0 };
        assert_eq!(judge.judge(&body(&channel), frontend), Err(ahead));
        let waiting = tokio::spawn({
            let (judge, channel) = (judge.clone(), channel.clone());
            async move { judge.wait_for(&channel, 0).await }
        });
        tokio::task::yield_now().await;
        in_force.set(configurations());
        assert!(waiting.await.unwrap());
        assert_eq!(judge.judge(&body(&channel), frontend), Ok(()));
    }

    #[test]
    fn a_sender_has_only_so_much_room_to_wait_in() {
        let room = WaitingRoom::default();
        let all = room.enter(usize::MAX).unwrap();
        assert!(room.enter(1).is_none());
        drop(all);
        let half = room.enter(WAITING_BYTES_MAX / 2).unwrap();
        assert!(room.enter(WAITING_BYTES_MAX).is_none());
        assert!(room.enter(WAITING_BYTES_MAX / 2).is_some());
        drop(half);
    }
}
