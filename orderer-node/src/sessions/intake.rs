//! From the bytes of a request to the replica: what every node looks at before it holds anything.

use std::sync::Arc;

use blockcutter::Objection;
use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::stages::Stage;
use mod_smart::{Client, Event, FrontendId, Reject, Request, Sealed};

use super::SessionHost;
use crate::judge::{BodyJudge, WaitingRoom};
use crate::keys::NodeKeyring;

impl SessionHost {
    /// Checks a request in the pool and hands it to the replica.
    pub(super) async fn take(&self, frontend: FrontendId, bytes: Bytes) -> Result<(), NotTaken> {
        let (keyring, group, judge) = (Arc::clone(&self.keyring), self.view.group(), self.judge.clone());
        let check = move || Stage::Decode.within(|| check(bytes, frontend, group, &keyring, &judge));
        let checked = self.verify.run(check).await;
        let request = checked.ok_or(NotTaken::Panicked)??;
        drop(self.inbox.send(Event::Request(request)).await);
        Ok(())
    }

    /// The same once a configuration is in force that is not yet, if that is soon and there is room to wait in. A correct
    /// frontend sends again what was not taken.
    pub(super) async fn take_in_time(
        &self,
        frontend: FrontendId,
        bytes: Bytes,
        waiting: &WaitingRoom,
        (channel, sequence): (ChannelId, u64),
    ) {
        let Some(_place) = waiting.enter(bytes.len()) else { return };
        if !self.judge.wait_for(&channel, sequence).await {
            return tracing::debug!(%frontend, %channel, sequence, "a frontend names a configuration that does not come");
        }
        let Some(_permit) = self.verify.room().await else { return };
        if let Err(reason) = self.take(frontend, bytes).await {
            self.on_refused(frontend, &reason);
        }
    }

    pub(super) fn on_refused(&self, frontend: FrontendId, reason: &NotTaken) {
        let before = self.table.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if (before + 1).is_power_of_two() {
            tracing::warn!(%frontend, %reason, refused = before + 1, "a frontend sent a request that no correct frontend sends");
        }
    }
}

/// Why a request of a frontend does not reach the replica.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("a request with a {0}")]
    Seal(#[from] Reject),
    #[error("a request of another client")]
    OtherClient,
    #[error(transparent)]
    Body(#[from] Objection),
    #[error("the check panicked")]
    Panicked,
}

/// What every node checks of a request before its replica hears of it: the seal, that it is the frontend's own, its form,
/// and whether the configuration that it names permits what it holds.
fn check(
    bytes: Bytes,
    frontend: FrontendId,
    group: mod_smart::GroupId,
    keyring: &NodeKeyring,
    judge: &BodyJudge,
) -> Result<Sealed<Request>, NotTaken> {
    let request = Sealed::<Request>::open(bytes, group, keyring)?;
    if request.value().id.client != Client::Frontend(frontend) {
        return Err(NotTaken::OtherClient);
    }
    judge.judge(&request.value().body, request.value().id.client)?;
    Ok(request)
}
