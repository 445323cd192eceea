//! Fetching the missing blocks of one channel, from the source that has done best so far: first what their headers are,
//! then the blocks.

mod blocks;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fabric_proto::ChannelId;
use frontend_shim::block_reading::{Ask, LINKS_MAX, Told};
use frontend_shim::counters::Grievance;
use frontend_shim::ledger::{Ledger, Missing, Tip};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Shared;
use super::limits::{FIRST_BLOCK_BYTES, SECTION_BLOCKS, STUCK_LOG_INTERVAL};
use super::reading::{Reading, ReadingError};
use super::section::Section;
use super::source::Choice;
use super::store::{BlockStore, Complaint};
use crate::fault::Fault;
use crate::signer::SignatureStyle;

/// The work for one channel.
pub(super) struct ChannelCatchUp {
    shared: Arc<Shared>,
    channel: ChannelId,
    ledger: Arc<Ledger>,
    store: Arc<BlockStore>,
    choice: Choice,
    patience: Duration,
    /// Size of recent blocks.
    usual_block_bytes: usize,
    /// The source that is being asked.
    source: usize,
    /// Its connection, if it stands.
    reading: Option<Reading>,
    /// When somebody last gave something that was missing.
    progress: Instant,
}

/// Why a source has to be left for another.
enum Failure {
    /// It does what no correct node does.
    Lie(Complaint),
    /// It gave nothing in time.
    Silent,
    /// It gave something, and not all of it in time.
    Slow,
    /// It does not have what is wanted.
    Lacks,
    /// The connection failed, or it refused.
    Away(ReadingError),
    /// Not its fault.
    Ours(Fault),
}

impl ChannelCatchUp {
    pub(super) fn new(
        shared: &Arc<Shared>,
        channel: ChannelId,
        ledger: Arc<Ledger>,
        style: SignatureStyle,
        taken_up_at: u64,
    ) -> Self {
        let store = BlockStore {
            channel: channel.clone(),
            ledger: Arc::clone(&ledger),
            group: Arc::clone(&shared.group),
            signer: shared.signer.clone(),
            style,
            taken_up_at,
        };
        Self {
            shared: Arc::clone(shared),
            channel,
            ledger,
            store: Arc::new(store),
            choice: Choice::new(shared.sources.len()),
            patience: shared.limits.patience_min,
            usual_block_bytes: FIRST_BLOCK_BYTES,
            source: 0,
            reading: None,
            progress: Instant::now(),
        }
    }

    pub(super) fn report(&self, fault: Fault) {
        self.shared.faults.report(fault);
    }

    pub(super) fn is_missing_blocks(&self) -> bool {
        self.ledger.missing().is_some()
    }

    /// Fetches until nothing is missing; the tip may move up meanwhile.
    pub(super) async fn fetch_all(&mut self) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let Ok(_place) = shared.places.acquire().await else { return Ok(()) };
        while let Some(missing) = self.ledger.missing() {
            let Missing { from, tip } = missing;
            tracing::info!(channel = %self.channel, from, to = tip.number, "fetching the blocks that are missing here");
            let (lowest, tops) = self.survey(missing).await?;
            let mut from = lowest.top() + 1;
            self.fetch(&lowest).await?;
            for top in tops.into_iter().rev() {
                let section = self.link(from, top).await?;
                self.fetch(&section).await?;
                from = top.number + 1;
            }
        }
        self.hang_up();
        tracing::info!(channel = %self.channel, height = self.ledger.height(), "the ledger has every block again");
        Ok(())
    }

    /// Follows the links from the tip down to the ledger. Gives the lowest section, and the last blocks of those above.
    async fn survey(&mut self, missing: Missing) -> Result<(Section, Vec<Tip>), Fault> {
        let (mut top, mut tops) = (missing.tip, Vec::new());
        loop {
            let from = missing.from.max((top.number + 1).saturating_sub(SECTION_BLOCKS));
            let section = self.link(from, top).await?;
            if from == missing.from {
                self.check_ground(section.lowest())?;
                return Ok((section, tops));
            }
            tops.push(top);
            top = section.lowest();
        }
    }

    /// The chain must stand on what is stored here.
    fn check_ground(&self, ground: Tip) -> Result<(), Fault> {
        let stored = self.ledger.read(ground.number)?.map(|stored| stored.header.hash());
        if stored != Some(ground.header_hash) {
            return Err(Fault::Diverged { channel: self.channel.to_string(), number: ground.number });
        }
        Ok(())
    }

    /// The hashes of the blocks from `from` to `top`.
    async fn link(&mut self, from: u64, top: Tip) -> Result<Section, Fault> {
        let mut section = Section::new(from, top);
        while section.wanted().is_some() {
            if let Err(failure) = self.ask_links(&mut section).await {
                self.leave(failure)?;
            }
        }
        Ok(section)
    }

    async fn ask_links(&mut self, section: &mut Section) -> Result<(), Failure> {
        let Some((last, count)) = section.wanted() else { return Ok(()) };
        self.choose_source().await;
        let until = Instant::now() + self.patience;
        self.ask(&Ask::Links { channel: self.channel.clone(), last, count: count.min(LINKS_MAX as u64) as u16 })
            .await?;
        let Told::Links(links) = self.next(until).await? else { return Err(out_of_place()) };
        if links.is_empty() {
            return Err(Failure::Lacks);
        }
        for link in links.iter().take(count as usize) {
            section.push(link).map_err(|broken| Failure::Lie((Grievance::WrongHeader, broken.to_string())))?;
            self.progress = Instant::now();
        }
        Ok(())
    }

    /// Asks the chosen source.
    async fn ask(&mut self, ask: &Ask) -> Result<(), Failure> {
        let (source, group) = (&self.shared.sources[self.source], self.shared.group.id());
        let asking = async {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                none => none.insert(Reading::begin(source.dial().await?, group).await?),
            };
            reading.ask(ask).await
        };
        match timeout(self.patience, asking).await {
            Ok(asked) => asked.map_err(Failure::Away),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Ends the connection, if there is one. It is closed beside us.
    fn hang_up(&mut self) {
        if let Some(reading) = self.reading.take() {
            tokio::spawn(reading.close());
        }
    }

    async fn next(&mut self, until: Instant) -> Result<Told, Failure> {
        let Some(reading) = &mut self.reading else { return Err(Failure::Away(ReadingError::Closed)) };
        match timeout_at(until, reading.next()).await {
            Ok(told) => told.map_err(Failure::Away),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Goes on without the source that failed, for a while.
    fn leave(&mut self, failure: Failure) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let limits = &shared.limits;
        let avoided = match failure {
            Failure::Ours(fault) => return Err(fault),
            Failure::Lacks => limits.lacking_avoided,
            Failure::Lie((grievance, what)) => {
                self.complain(grievance, &what);
                limits.liar_avoided
            }
            Failure::Away(ReadingError::Garbage(what)) => {
                self.complain(Grievance::Garbage, &what);
                limits.liar_avoided
            }
            Failure::Away(ReadingError::Refused(reason)) => {
                self.complain(Grievance::Refused, &reason);
                limits.silent_avoided
            }
            Failure::Away(error) => {
                tracing::info!("{} cannot be read from: {error}", shared.sources[self.source].record().name());
                limits.silent_avoided
            }
            Failure::Silent => {
                self.complain(Grievance::SilentBody, &format!("nothing came for {:?}", self.patience));
                self.patience = (self.patience * 2).min(limits.patience_max);
                limits.silent_avoided
            }
            Failure::Slow => {
                self.patience = (self.patience * 2).min(limits.patience_max);
                limits.silent_avoided
            }
        };
        // What a source that failed may still send is the answer to nothing.
        self.hang_up();
        self.choice.avoid(self.source, Instant::now() + avoided);
        shared.counts.retries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn complain(&self, grievance: Grievance, what: &str) {
        let detail = format!("channel {}, block {} or later: {what}", self.channel, self.ledger.height());
        self.shared.sources[self.source].record().complain(grievance, &detail);
    }

    /// Goes over to the source that has done best. Waits while all are avoided.
    async fn choose_source(&mut self) {
        loop {
            let now = Instant::now();
            if let Some(best) = self.choice.best(self.source, now) {
                if best != self.source {
                    self.hang_up();
                    self.source = best;
                }
                return;
            }
            if now - self.progress > STUCK_LOG_INTERVAL {
                self.progress = now;
                let height = self.ledger.height();
                tracing::warn!(channel = %self.channel, height, "nobody gives the blocks that are missing here");
            }
            // Without any source at all there is nothing to wait for but the end.
            let retry = self.choice.next_free().unwrap_or(now + STUCK_LOG_INTERVAL);
            sleep_until(retry).await;
        }
    }
}

fn out_of_place() -> Failure {
    Failure::Lie((Grievance::Garbage, "an answer to something else".to_owned()))
}
