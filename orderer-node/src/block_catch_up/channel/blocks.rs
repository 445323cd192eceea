//! The blocks of one section: asked for ahead, judged side by side, stored one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use frontend_shim::block_reading::{Ask, GivenBlock, Told};
use futures::FutureExt as _;
use tokio::time::Instant;

use super::{ChannelCatchUp, Failure, out_of_place};
use crate::block_catch_up::flow::{Flow, Judgement};
use crate::block_catch_up::section::{Expected, Section};
use crate::block_catch_up::store::{BlockStore, Refused, Rules, Stored};
use crate::fault::Fault;
use crate::work_pool::WorkPool;

impl ChannelCatchUp {
    /// Fetches the blocks of a section that the ledger does not have.
    pub(super) async fn fetch(&mut self, section: &Section) -> Result<(), Fault> {
        while self.ledger.height() <= section.top() {
            if let Err(failure) = self.fetch_from_best(section).await {
                self.leave(failure)?;
            }
        }
        Ok(())
    }

    /// Fetches from the source that does best, until all is stored or another does better.
    async fn fetch_from_best(&mut self, section: &Section) -> Result<(), Failure> {
        let from = self.ledger.height();
        let rules = off_task(&self.store, move |store| store.rules_after(from - 1)).await??;
        let mut flow = Flow::new(from, rules);
        let taken = self.take(section, &mut flow).await;
        // What came before something failed is as good as ever.
        while let Some(judged) = flow.judged().await {
            self.put(&mut flow, judged).await?;
        }
        taken
    }

    /// Asks, hears and stores until nothing more is asked of this source.
    async fn take(&mut self, section: &Section, flow: &mut Flow) -> Result<(), Failure> {
        loop {
            self.ask_ahead(section, flow).await?;
            if flow.is_answered() {
                return Ok(());
            }
            let (since, is_listening) = (Instant::now(), flow.has_room());
            tokio::select! {
                told = self.next(flow.until()), if is_listening => self.on_told(section, flow, told)?,
                Some(judged) = flow.judged() => {
                    let away_since = if is_listening { Instant::now() } else { since };
                    self.put(flow, judged).await?;
                    flow.forgive(away_since.elapsed());
                }
            }
        }
    }

    /// Asks for as much as may be asked for ahead. Another source is asked when nothing is left to come from this one.
    async fn ask_ahead(&mut self, section: &Section, flow: &mut Flow) -> Result<(), Failure> {
        while let Some(blocks) = flow.next_ask(section.top(), self.usual_block_bytes) {
            if !flow.is_under_way() {
                self.choose_source().await;
            } else if self.choice.best(self.source, Instant::now()) != Some(self.source) {
                return Ok(());
            }
            let count = (blocks.end - blocks.start) as u16;
            self.ask(&Ask::Blocks { channel: self.channel.clone(), from: blocks.start, count }).await?;
            flow.on_asked(blocks, Instant::now(), self.patience);
        }
        Ok(())
    }

    fn on_told(&mut self, section: &Section, flow: &mut Flow, told: Result<Told, Failure>) -> Result<(), Failure> {
        match told {
            Ok(Told::Block(given)) => self.on_block(section, flow, given),
            Ok(Told::End(end)) => self.on_end(flow, end),
            Ok(_) => Err(out_of_place()),
            Err(Failure::Silent) if flow.has_begun() => Err(Failure::Slow),
            Err(failure) => Err(failure),
        }
    }

    fn on_block(&mut self, section: &Section, flow: &mut Flow, given: GivenBlock) -> Result<(), Failure> {
        let expected = section.expected(given.number).filter(|expected| flow.awaits(expected.number));
        let expected = expected.ok_or_else(out_of_place)?;
        let bytes = given.body.len();
        // Leaning towards the large ones.
        self.usual_block_bytes = (self.usual_block_bytes * 7 / 8).max(bytes);
        let (verify, store, rules) = (self.shared.verify.clone(), Arc::clone(&self.store), Arc::clone(&flow.rules));
        let judging = tokio::spawn(judge(verify, store, rules, expected, given));
        flow.on_block(bytes, judging.map(|judged| judged.unwrap_or_else(|_| Err(ended()))).boxed());
        Ok(())
    }

    fn on_end(&mut self, flow: &mut Flow, end: u64) -> Result<(), Failure> {
        let answered = flow.on_end(end, Instant::now(), self.patience).ok_or_else(out_of_place)?;
        if answered.blocks == 0 {
            return Err(Failure::Lacks);
        }
        self.choice.on_answered(self.source, answered.time / answered.blocks as u32);
        self.patience = (self.patience / 2).max(self.shared.limits.patience_min);
        if answered.is_cut_short {
            // The answers to the asks behind it would be for nothing.
            self.hang_up();
        }
        Ok(())
    }

    /// Stores a block, and those after it that are ready as well.
    async fn put(&mut self, flow: &mut Flow, first: Judgement) -> Result<(), Failure> {
        let outcome = self.try_put(flow, first).await;
        if outcome.is_err() {
            flow.forget();
        }
        outcome
    }

    async fn try_put(&mut self, flow: &mut Flow, first: Judgement) -> Result<(), Failure> {
        let (blocks, refused) = flow.ready(first);
        let rules = Arc::clone(&flow.rules);
        let put = off_task(&self.store, move |store| store.put(blocks, rules)).await?;
        flow.rules = put.rules;
        for stored in &put.stored {
            self.on_stored(stored);
        }
        put.outcome?;
        refused.map_or(Ok(()), |refused| Err(refused.into()))
    }

    fn on_stored(&mut self, stored: &Stored) {
        let counts = &self.shared.counts;
        counts.blocks.fetch_add(1, Ordering::Relaxed);
        counts.certified.fetch_add(stored.is_certified.into(), Ordering::Relaxed);
        self.progress = Instant::now();
        if let Some((grievance, what)) = &stored.complaint {
            self.complain(*grievance, what);
        }
    }
}

/// Hashing and verifying costs more processor time than anything else here, and one block does not need another for it.
async fn judge(
    verify: WorkPool,
    store: Arc<BlockStore>,
    rules: Arc<Rules>,
    expected: Expected,
    given: GivenBlock,
) -> Judgement {
    let _room = verify.room().await.ok_or_else(ended)?;
    verify.run(move || store.judge(rules, expected, given)).await.unwrap_or_else(|| Err(ended()))
}

/// Files are read and written beside the task.
async fn off_task<T: Send + 'static>(
    store: &Arc<BlockStore>,
    work: impl FnOnce(&BlockStore) -> T + Send + 'static,
) -> Result<T, Refused> {
    let store = Arc::clone(store);
    tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| ended())
}

fn ended() -> Refused {
    Refused::Fault(Fault::Ended("block catch-up"))
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Lie(complaint) => Self::Lie(complaint),
            Refused::Fault(fault) => Self::Ours(fault),
        }
    }
}
