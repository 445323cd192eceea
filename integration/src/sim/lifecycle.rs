//! How the process of a node begins, pauses and ends.

use std::sync::Arc;
use std::time::Duration;

use mod_smart::{Action, Event, InstanceId, Recovered, Replica, ReplicaId, SessionId};
use orderer_node::checkpoint::{CheckpointStore, Opened};
use orderer_node::disk::Disk;
use orderer_node::journal::{self, Journal, JournalError};
use orderer_node::own_requests::OwnRequests;

use super::application::Application;
use super::checkers::{Observation, Standing};
use super::node::Process;
use super::plan::GROUP;
use super::queue::{Happening, Place};
use super::world::{Phase, World};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is killed; its machine goes on, and nothing that was written is lost.
    Killed,
    /// The power fails: what was not synced may be lost.
    PowerLost,
}

impl World {
    /// Starts the process of a node from what its disk holds.
    pub fn start(&mut self, place: Place) {
        if self.nodes[place].process.is_some() {
            return;
        }
        self.nodes[place].journal_disk.memory().heal();
        self.nodes[place].states_disk.memory().heal();
        match self.recover(place) {
            Ok(said) => self.begin_to_speak(place, said),
            // A disk that is not as this node left it is a fault of the world or of the program.
            Err(what) => self.fail("durability", format!("node {place} does not recover: {what}")),
        }
    }

    fn recover(&mut self, place: Place) -> Result<Vec<Action>, String> {
        let node = &self.nodes[place];
        let me = node.me;
        let (journal_disk, states_disk) = (Arc::new(node.journal_disk.clone()), Arc::new(node.states_disk.clone()));
        let (store, Opened { newest, damaged }) =
            CheckpointStore::open(states_disk, GROUP).map_err(|error| error.to_string())?;
        let after = newest.as_ref().map_or(InstanceId(0), |found| found.checkpoint.instance);
        let (opened, is_whole) = self.open_journal(place, &journal_disk, after)?;
        let (mut journal, mut replay) = opened;
        let is_empty = replay.summary().records == 0;
        let beginning = match &newest {
            Some(found) => self.restored_application(&found.checkpoint.application)?,
            None => Application::new(self.beginning.clone(), Vec::new(), self.plan.padding, self.now),
        };
        let mut application = beginning.clone();
        application.blocks.clone_from(&self.nodes[place].blocks);
        if application.height() < application.tip() && !application.fill(&self.chain) {
            return Err("blocks that the checkpoint speaks of are nowhere".to_owned());
        }
        let (limits, view) = (self.plan.limits.clone(), self.plan.view.clone());
        let restored = newest.map(super::recovery::restored);
        let mut recovered =
            Recovered::new(me, view.clone(), limits.clone(), restored.clone()).map_err(|e| e.to_string())?;
        self.observe(&Observation::Started(me, after));
        let (mut actions, mut problem) = (Vec::new(), None);
        let mut records = 0;
        let summary = replay.summary();
        for record in &mut replay {
            records += 1;
            let record = record.map_err(|error| error.to_string())?;
            if self.is_believed(place) {
                // Whatever of an interrupted commit is found again was made durable by the opening.
                self.observe(&Observation::Durable(me, &record));
            }
            if let Err(error) = recovered.replay(record, &mut actions) {
                problem = Some(error.to_string());
                break;
            }
            for action in actions.drain(..) {
                if let Action::Deliver(decision) = action {
                    if self.is_believed(place) {
                        self.observe(&Observation::Delivered(me, &decision));
                    }
                    let cut = application.deliver(&decision, self.now);
                    // The power failed between a decision and its block: others may hear of it from this node first.
                    for block in cut.map_err(|diverged| format!("block {} is another one", diverged.0))? {
                        self.note_cut(place, &block);
                    }
                }
            }
        }
        let is_lost = problem.is_some();
        if let Some(problem) = problem {
            if self.standings[place] == Standing::Correct {
                return Err(problem);
            }
            // The records are sound and do not fit together: something between them was lost.
            journal::set_aside(&*journal_disk, GROUP).map_err(|error| error.to_string())?;
            journal = Journal::open(journal_disk, GROUP, self.plan.journal, after).map_err(|e| e.to_string())?.0;
            recovered = Recovered::new(me, view, limits, restored).map_err(|error| error.to_string())?;
            // What was replayed until then counts for nothing.
            let blocks = std::mem::take(&mut application.blocks);
            application = beginning;
            application.blocks = blocks;
            self.observe(&Observation::Started(me, after));
        }
        let mut said = Vec::new();
        let is_silenced = !is_whole || is_lost || is_empty || damaged_only(&damaged, after) && records == 0;
        let replica = if is_silenced {
            recovered.finish_silent(self.random.u64(..), &mut said)
        } else {
            recovered.finish(&mut said)
        };
        self.judge_start(place, replica.is_silent());
        self.trace.note(self.now, [3, place as u64, replica.delivered().0, records], || {
            let torn = summary.torn.map(|torn| format!(", {} torn bytes", torn.bytes)).unwrap_or_default();
            format!(
                "{place} starts: checkpoint {after}, {records} records{torn}, delivered {}{}",
                replica.delivered(),
                if is_silenced { ", silenced" } else { "" }
            )
        });
        self.counts.restarts += u64::from(self.nodes[place].life > 0);
        self.counts.torn += u64::from(summary.torn.is_some());
        self.host(place, replica, journal, store, application);
        Ok(said)
    }

    /// A node that knows of its loss is silent; one whose journal came to no harm is as it was.
    fn judge_start(&mut self, place: Place, is_silent: bool) {
        let damage = std::mem::take(&mut self.nodes[place].is_state_damaged);
        self.standings[place] = match self.standings[place] {
            Standing::Liar => Standing::Liar,
            _ if is_silent => Standing::Silenced,
            Standing::Amnesiac if damage => Standing::Correct,
            standing => standing,
        };
    }

    /// Opens the journal; a damaged one is moved aside. Says whether it was whole.
    #[allow(clippy::type_complexity)]
    fn open_journal(
        &self,
        place: Place,
        disk: &Arc<super::disk::SimDisk>,
        after: InstanceId,
    ) -> Result<((Journal, journal::Replay), bool), String> {
        let open = || Journal::open(Arc::clone(disk) as Arc<dyn Disk>, GROUP, self.plan.journal, after);
        match open() {
            Ok(opened) => Ok((opened, true)),
            Err(error) if error.is_damage() && self.standings[place] != Standing::Correct => {
                journal::set_aside(&**disk, GROUP).map_err(|error| error.to_string())?;
                Ok((open().map_err(|error: JournalError| error.to_string())?, false))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn restored_application(&self, snapshot: &bytes::Bytes) -> Result<Application, String> {
        Application::restore(&self.beginning, snapshot, self.plan.padding, self.now)
    }

    fn host(
        &mut self,
        place: Place,
        replica: Replica,
        journal: Journal,
        store: CheckpointStore,
        application: Application,
    ) {
        let session = SessionId(self.now.0 / 1000);
        let process = Process {
            replica,
            since: self.now,
            reader: journal.reader(),
            journal,
            store,
            application,
            waiting: std::collections::VecDeque::new(),
            syncing: None,
            own: std::collections::VecDeque::new(),
            wake_at: None,
            timer_at: None,
            own_requests: OwnRequests::new(self.nodes[place].me, session),
            is_saving: false,
        };
        self.nodes[place].process = Some(process);
    }

    fn begin_to_speak(&mut self, place: Place, said: Vec<Action>) {
        if let Some(process) = &mut self.nodes[place].process {
            process.enqueue(said);
            for peer in self.plan.view.replicas().filter(|peer| peer.index() != place) {
                process.own.push_back(Event::Connected(peer));
            }
        }
        let life = self.nodes[place].life;
        if self.nodes[place].actor.is_some() {
            self.queue.after(self.now, TICK, Happening::Tick(place, life));
        }
        self.work(place);
        self.plan_cut_timer(place);
        for other in 0..self.nodes.len() {
            if other != place && self.nodes[other].is_up() {
                self.hear(other, Event::Connected(ReplicaId(place as u16)));
            }
        }
    }

    /// Ends the process of a node; it starts again after a while. Says whether it was running.
    pub fn end(&mut self, place: Place, end: End) -> bool {
        let wait = if self.phase == Phase::Safety { self.draw_wait(5..1_200) } else { Duration::from_millis(1) };
        self.queue.after(self.now, wait, Happening::Start(place));
        let node = &mut self.nodes[place];
        let Some(mut process) = node.process.take() else { return false };
        node.life += 1;
        node.is_paused = false;
        node.inbox.clear();
        node.dies_in = None;
        let now = self.now;
        self.trace.note(now, [4, place as u64, end as u64, 0], || format!("{place} ends: {end:?}"));
        // What the disk was working on got so far, and no further.
        if let Some(batches) = process.syncing.take() {
            node.journal_disk.memory().fail_after(self.random.u64(..4), std::io::ErrorKind::Other);
            for record in batches.iter().flat_map(|batch| &batch.records) {
                if process.journal.append(record).is_err() {
                    break;
                }
            }
            // It fails: that is what this is for.
            drop(process.journal.commit());
        }
        node.blocks = process.application.blocks;
        drop(process.journal);
        node.journal_disk.memory().heal();
        if end == End::PowerLost {
            if node.journal_disk.is_lying() || node.states_disk.is_lying() {
                self.counts.syncs_lost += 1;
            }
            node.journal_disk.lose_power(&mut self.random);
            node.states_disk.lose_power(&mut self.random);
            let kept = self.random.usize(node.blocks_synced.min(node.blocks.len())..=node.blocks.len());
            node.blocks.truncate(kept);
        }
        true
    }

    /// A paused process goes on.
    pub fn resume(&mut self, place: Place) {
        let node = &mut self.nodes[place];
        if !std::mem::take(&mut node.is_paused) {
            return;
        }
        let life = node.life;
        let inbox = std::mem::take(&mut node.inbox);
        self.trace.note(self.now, [5, place as u64, 0, 0], || format!("{place} goes on after a pause"));
        if self.nodes[place].actor.is_some() {
            self.queue.after(self.now, TICK, Happening::Tick(place, life));
        }
        if self.nodes[place].process.as_ref().is_some_and(|process| process.syncing.is_some()) {
            self.queue.at(self.now, Happening::Synced(place, life));
        }
        for (from, frame) in inbox {
            if self.is_alive(place, life) {
                self.take(place, from, frame);
            }
        }
        if let Some(process) = &mut self.nodes[place].process {
            (process.wake_at, process.timer_at) = (None, None);
        }
        self.plan_wake(place);
        self.plan_cut_timer(place);
    }
}

/// Was a checkpoint lost that the journal may have been truncated for?
fn damaged_only(damaged: &[orderer_node::checkpoint::DamagedFile], after: InstanceId) -> bool {
    !damaged.is_empty() && after.0 == 0
}

/// How often a liar may act of itself.
pub(super) const TICK: Duration = Duration::from_millis(10);
