//! Who breaks things: at random times, one thing at a time or many, within what the protocol promises to survive.
//!
//! Liars and replicas whose disk went back on its word count towards `f` together; crashes, losses of power, pauses and
//! everything the network can do are without limit.

use std::time::Duration;

use fastrand::Rng;
use mod_smart::{FaultModel, Time};

use super::checkers::{Observation, Standing};
pub use super::fault_kind::FaultKind;
use super::lifecycle::End;
use super::queue::{Happening, Place};
use super::world::{Phase, World};

/// The end of something that was broken for a while.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relief {
    Cuts,
    Calm,
    Disk(Place),
    /// A lying disk loses power now.
    LyingDisk(Place),
}

/// The breaker's own chance.
#[derive(Debug)]
pub(super) struct Nemesis {
    pub random: Rng,
    /// Has everybody correct begun to speak?
    is_founded: bool,
}

impl Nemesis {
    pub const fn new(random: Rng) -> Self {
        Self { random, is_founded: false }
    }
}

impl World {
    /// Breaks something, and plans to do so again.
    pub fn strike(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        let spread = 2 * self.plan.fault_every.as_nanos() as u64;
        let wait = Duration::from_nanos(self.nemesis.random.u64(..spread));
        self.queue.after(self.now, wait, Happening::Fault);
        if self.plan.faults.is_empty() || !self.is_founded() {
            return;
        }
        let kind = self.plan.faults[self.nemesis.random.usize(..self.plan.faults.len())];
        if self.inflict(kind) {
            self.counts.fault(kind.name());
        }
    }

    /// A group that is being founded has written nothing: who loses power in it cannot be told from who lost a disk.
    pub fn is_founded(&mut self) -> bool {
        self.nemesis.is_founded |= self.standings.iter().all(|standing| *standing != Standing::Silenced);
        self.nemesis.is_founded
    }

    fn inflict(&mut self, kind: FaultKind) -> bool {
        let victim = self.draw_victim();
        self.trace.note(self.now, [10, kind as u64, victim as u64, 0], || format!("--- {} ({victim})", kind.name()));
        match kind {
            FaultKind::Kill => self.end(victim, End::Killed),
            FaultKind::PowerLoss => self.end(victim, End::PowerLost),
            FaultKind::PowerLossBetween => {
                self.nodes[victim].dies_in = Some(self.nemesis.random.u32(..40));
                true
            }
            FaultKind::PowerLossOfAll => {
                let running = self.nodes.iter().filter(|node| node.process.is_some()).count();
                for place in 0..self.nodes.len() {
                    self.end(place, End::PowerLost);
                }
                running > 0
            }
            FaultKind::Pause => {
                if !self.nodes[victim].is_up() {
                    return false;
                }
                self.nodes[victim].is_paused = true;
                let wait = self.draw_wait(50..1_500);
                self.queue.after(self.now, wait, Happening::Resume(victim));
                true
            }
            FaultKind::Partition | FaultKind::OneWay | FaultKind::LeaderCut => self.cut_links(kind, victim),
            FaultKind::Clog => {
                let (from, to) = (victim, self.nemesis.random.usize(..self.nodes.len()));
                let until = self.now.after(self.draw_wait(50..1_500));
                self.network.clog(from, to, until);
                from != to
            }
            FaultKind::Loss | FaultKind::Repeat | FaultKind::Reorder | FaultKind::SlowLinks => self.trouble(kind),
            FaultKind::SlowDisk => {
                self.nodes[victim].disk_delay = self.draw_wait(20..300);
                self.relieve_later(Relief::Disk(victim));
                true
            }
            FaultKind::FullDisk => {
                let left = self.nemesis.random.u64(..6);
                self.nodes[victim].journal_disk.memory().fail_after(left, std::io::ErrorKind::StorageFull);
                self.nodes[victim].states_disk.memory().fail_after(left, std::io::ErrorKind::StorageFull);
                true
            }
            FaultKind::LostSync | FaultKind::WipedDisk | FaultKind::CorruptDisk | FaultKind::MisdirectedWrite => {
                self.break_disk(kind, victim)
            }
            FaultKind::FrontendRestart => {
                let at = self.nemesis.random.usize(..self.frontends.len());
                let mut wishes = Vec::new();
                self.begin_session(at, &mut wishes);
                self.grant(at, wishes);
                true
            }
        }
    }

    fn cut_links(&mut self, kind: FaultKind, victim: Place) -> bool {
        let n = self.nodes.len();
        let leader = self.leader();
        let mut side: Vec<bool> = (0..n).map(|_| self.nemesis.random.bool()).collect();
        if kind != FaultKind::Partition {
            let alone = if kind == FaultKind::LeaderCut { leader } else { victim };
            side = (0..n).map(|place| place == alone).collect();
        }
        let (is_out, is_in) = match kind {
            FaultKind::OneWay => [(true, false), (false, true)][self.nemesis.random.usize(..2)],
            _ => (true, true),
        };
        for from in 0..n {
            for to in (0..n).filter(|to| side[from] != side[*to]) {
                if side[from] && is_out || side[to] && is_in {
                    self.network.cut(from, to);
                }
            }
        }
        self.relieve_later(Relief::Cuts);
        true
    }

    fn trouble(&mut self, kind: FaultKind) -> bool {
        let random = &mut self.nemesis.random;
        match kind {
            FaultKind::Loss => self.network.loss = random.u32(10..300),
            FaultKind::Repeat => self.network.repeats = random.u32(50..500),
            FaultKind::Reorder => self.network.is_reordering = true,
            _ => self.network.slowness = random.u32(3..40),
        }
        self.relieve_later(Relief::Calm);
        true
    }

    /// Breaks the word of a disk, if the group can bear one more replica like that.
    fn break_disk(&mut self, kind: FaultKind, victim: Place) -> bool {
        let faulty = self.standings.iter().filter(|standing| **standing != Standing::Correct).count();
        if self.standings[victim] != Standing::Correct || faulty >= self.forgetful_max() {
            return false;
        }
        if kind == FaultKind::LostSync {
            self.standings[victim] = Standing::Amnesiac;
            self.nodes[victim].journal_disk.begin_lying();
            let wait = self.draw_wait(20..800);
            self.queue.after(self.now, wait, Happening::Relief(Relief::LyingDisk(victim)));
            return true;
        }
        self.end(victim, End::PowerLost);
        let node = &mut self.nodes[victim];
        let random = &mut self.nemesis.random;
        // What is damaged is seen when it is read, unless it is at the very end: that looks like a torn write.
        match kind {
            FaultKind::WipedDisk => {
                node.journal_disk = super::disk::SimDisk::default();
                node.states_disk = super::disk::SimDisk::default();
                node.blocks.clear();
                node.blocks_synced = 0;
                self.standings[victim] = Standing::Silenced;
            }
            _ => {
                let is_states = random.u8(..4) == 0;
                let disk = if is_states { &node.states_disk } else { &node.journal_disk };
                let file = if kind == FaultKind::CorruptDisk { disk.corrupt(random) } else { disk.misdirect(random) };
                let Some(file) = file else { return true };
                node.is_state_damaged = is_states;
                self.trace.say(self.now, || format!("{victim}: {file} is damaged"));
                self.standings[victim] = Standing::Amnesiac;
            }
        }
        let me = self.nodes[victim].me;
        self.observe(&Observation::Lost(me));
        true
    }

    /// How many replicas may lie or have forgotten what they said. Where replicas only crash, one at a time may have lost its
    /// disk, whatever else is down.
    fn forgetful_max(&self) -> usize {
        match self.plan.view.fault_model() {
            FaultModel::Byzantine => self.plan.view.f(),
            FaultModel::Crash => self.plan.view.f().min(1),
        }
    }

    /// Ends something that was broken for a while.
    pub fn relieve(&mut self, relief: Relief) {
        match relief {
            Relief::Cuts => {
                for (a, b) in self.network.join() {
                    if a < self.nodes.len() && b < self.nodes.len() {
                        let wait = self.draw_wait(1..100);
                        self.queue.after(self.now, wait, Happening::Reconnected(a, b));
                    }
                }
            }
            Relief::Calm => self.network.calm(),
            Relief::Disk(place) => self.nodes[place].disk_delay = Duration::ZERO,
            Relief::LyingDisk(place) => {
                // Nobody may be running on it just now. It loses its power all the same, or it would go on lying.
                if !self.end(place, End::PowerLost) {
                    self.nodes[place].journal_disk.lose_power(&mut self.nemesis.random);
                }
            }
        }
    }

    /// Everything that was broken is well again: liars alone go on.
    pub fn end_faults(&mut self, now: Time) {
        self.now = now;
        self.phase = Phase::Liveness(now);
        self.trace.note(now, [11, 0, 0, 0], || "=== no more faults".to_owned());
        self.relieve(Relief::Cuts);
        self.relieve(Relief::Calm);
        for place in 0..self.nodes.len() {
            self.relieve(Relief::Disk(place));
            self.nodes[place].dies_in = None;
            if self.nodes[place].journal_disk.is_lying() {
                self.end(place, End::PowerLost);
            }
            self.nodes[place].journal_disk.memory().heal();
            self.nodes[place].states_disk.memory().heal();
            self.queue.after(now, Duration::from_millis(1), Happening::Resume(place));
            self.queue.after(now, Duration::from_millis(2), Happening::Start(place));
        }
        self.queue.after(now, Duration::from_millis(50), Happening::Settled);
    }

    fn relieve_later(&mut self, relief: Relief) {
        let wait = self.draw_wait(50..1_500);
        self.queue.after(self.now, wait, Happening::Relief(relief));
    }

    /// A time between these two.
    pub fn draw_wait(&mut self, millis: std::ops::Range<u64>) -> Duration {
        // Short ones are as interesting as long ones.
        let (low, high) = (millis.start as f64, millis.end as f64);
        Duration::from_micros((low * (high / low).powf(self.nemesis.random.f64()) * 1000.0) as u64)
    }

    fn draw_victim(&mut self) -> Place {
        if self.nemesis.random.u8(..5) < 2 { self.leader() } else { self.nemesis.random.usize(..self.nodes.len()) }
    }

    /// Who leads, as most running replicas see it.
    pub fn leader(&self) -> Place {
        let regencies = self.nodes.iter().filter_map(|node| Some(node.process.as_ref()?.replica.regency()));
        let mut regencies: Vec<_> = regencies.collect();
        regencies.sort_unstable();
        regencies.get(regencies.len() / 2).map_or(0, |regency| self.plan.view.leader(*regency).index())
    }
}
