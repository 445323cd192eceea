//! The processes of one schedule, and the network between them. Nothing is left to chance: every message takes as long as
//! its link does, and all clocks are one.
//!
//! A message arrives if its two ends are on one side when it leaves and when it should arrive; otherwise it is lost. What
//! is addressed to a replica reaches whichever copies of it are there. A process has no link to itself: what it says to
//! itself it hears at once, and its other copy does not.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mod_smart::message::DecidedBatch;
use mod_smart::{
    Action, Client, Digest, Event, FrontendId, InstanceId, Limits, Message, Recipients, Record, Recovered, Regency,
    Replica, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId, Time, View,
};

use crate::keys::{GROUP, Key, Keys};
use crate::schedule::{Ending, Group, Length, Partition, Schedule};
use crate::witness::{Conflicts, Foretold, Violation, Witness};

/// What came of a schedule in which nothing was wrong.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Instances decided.
    pub decisions: usize,
    /// The highest regency a correct replica came to.
    pub regency: Regency,
    /// How the copies contradicted each other before the network healed.
    pub conflicts: Conflicts,
    /// Did a correct replica name the twin?
    pub has_named_twin: bool,
    /// What was given to applications before its decision.
    pub foretold: Foretold,
    /// How long after the network healed everything was delivered everywhere.
    pub regained: Duration,
}

/// Runs a schedule: its rounds, and then, on a network that is whole, until nothing is owed.
///
/// # Errors
/// The first thing that is wrong.
pub fn run(schedule: &Schedule) -> Result<Outcome, Violation> {
    let mut world = World::new(&schedule.group);
    for (number, round) in (1..).zip(&schedule.rounds) {
        world.part(round.partition);
        if let Some(process) = round.restarted {
            world.restart(process);
        }
        world.submit(number);
        world.run_until(length(round.length, &schedule.group.view), |_| false);
    }
    world.check()?;
    let conflicts = world.witness.conflicts;
    world.heal(schedule.ending);
    world.submit(schedule.rounds.len() as u64 + 1);
    let healed = world.now;
    let is_live = world.run_until(regained_max(schedule.rounds.len() as u32), |world| world.witness.is_nothing_owed());
    world.check()?;
    if !is_live {
        return Err(world.witness.stuck());
    }
    Ok(Outcome {
        decisions: world.witness.decisions(),
        regency: world.witness.regency(),
        conflicts,
        has_named_twin: world.witness.has_named_twin,
        foretold: world.witness.foretold,
        regained: Duration::from_nanos(world.now.0 - healed.0),
    })
}

/// A leader that delivers nothing is stopped after twice the timeout, so in three timeouts a regency changes once, and the
/// next leader has time to decide.
fn length(length: Length, view: &View) -> Duration {
    match length {
        Length::Long => Duration::from_millis(3 * REQUEST_TIMEOUT_MS),
        Length::Torn if view.has_writes() => Duration::from_micros(2_500),
        Length::Torn => Duration::from_micros(1_500),
    }
}

/// How long after the network healed everything must be delivered everywhere. Each round may have been a regency that
/// brought nothing, and each but the first of these doubles the timeout. After that one more leader, the twin, may have to be
/// stopped. The rest of the time is for statements of standing and for fetching.
pub const fn regained_max(rounds: u32) -> Duration {
    Duration::from_millis(((2 * REQUEST_TIMEOUT_MS) << rounds.saturating_sub(1)) + 1_000)
}

/// The default request timeout.
const REQUEST_TIMEOUT_MS: u64 = 400;

struct World {
    view: View,
    limits: Limits,
    now: Time,
    processes: Vec<Process>,
    queue: BTreeMap<(Time, u64), Parcel>,
    sent: u64,
    bodies: BTreeMap<Digest, Sealed<Request>>,
    witness: Witness,
}

struct Process {
    id: ReplicaId,
    replica: Replica,
    /// When it wants to be woken.
    due: Time,
    side: u8,
    is_removed: bool,
    /// What is durable.
    journal: Vec<Record>,
}

struct Parcel {
    from: usize,
    to: usize,
    message: Rc<Sealed<Message>>,
}

impl World {
    fn new(group: &Group) -> Self {
        let Group { view, window, is_tentative, twins } = group.clone();
        let plain = Limits { tentative: is_tentative, ..Limits::default() };
        assert_eq!(plain.request_timeout, Duration::from_millis(REQUEST_TIMEOUT_MS));
        let limits = match window {
            1 => plain,
            more => Limits { instances_open_max: more, batch_requests_max: 1, ..plain },
        };
        let ids = group.processes();
        let process = |&id: &ReplicaId| Process {
            id,
            replica: Replica::new(id, view.clone(), limits.clone()),
            due: Time(0),
            side: 0,
            is_removed: false,
            journal: Vec::new(),
        };
        Self {
            processes: ids.iter().map(process).collect(),
            witness: Witness::new(&ids, &twins, view.clone()),
            view,
            limits,
            now: Time(0),
            queue: BTreeMap::new(),
            sent: 0,
            bodies: BTreeMap::new(),
        }
    }

    fn part(&mut self, partition: Partition) {
        for (at, process) in self.processes.iter_mut().enumerate() {
            process.side = partition.side(at);
        }
    }

    fn heal(&mut self, ending: Ending) {
        for at in 0..self.processes.len() {
            let is_second = at > 0 && self.processes[at - 1].id == self.processes[at].id;
            self.processes[at].side = 0;
            self.processes[at].is_removed = match ending {
                Ending::OneCopy => is_second,
                Ending::Whole => false,
                Ending::Without(crashed) => at == crashed,
            };
            if self.processes[at].is_removed {
                self.witness.removes(at);
            }
        }
    }

    /// A process loses its memory, and begins again with what was durable. Messages to it that are on their way arrive.
    fn restart(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let recovered = Recovered::new(process.id, self.view.clone(), self.limits.clone(), None);
        let mut recovered = recovered.expect("there is no checkpoint to be unreadable");
        self.witness.restarts(at);
        let mut actions = Vec::new();
        for record in process.journal.clone() {
            recovered.replay(record, &mut actions).expect("what was written is read");
        }
        process.replica = recovered.finish(&mut actions);
        process.due = process.replica.deadline();
        for action in actions {
            self.perform(at, action);
        }
        for other in 0..self.processes.len() {
            if other == at || !self.is_linked(at, other) {
                continue;
            }
            self.handle(at, Event::Connected(self.processes[other].id));
            self.handle(other, Event::Connected(self.processes[at].id));
        }
    }

    /// Each side has a client of its own, which sends its next requests to everybody there: so leaders on different sides
    /// have different batches to propose.
    fn submit(&mut self, round: u64) {
        let each = self.limits.instances_open_max;
        ((round - 1) * each + 1..=round * each).for_each(|sequence| self.submit_one(Sequence(sequence)));
    }

    fn submit_one(&mut self, sequence: Sequence) {
        for side in 0..2 {
            let client = Client::Frontend(FrontendId([side + 1; 32]));
            let id = RequestId { client, session: SessionId(1), sequence };
            let request = Request { id, body: Bytes::new() }.seal(GROUP, &Key(client));
            self.bodies.insert(request.digest(), request.clone());
            for to in 0..self.processes.len() {
                if self.processes[to].side == side && !self.processes[to].is_removed {
                    self.handle(to, Event::Request(request.clone()));
                }
            }
        }
    }

    /// Runs for so long, or until something is so. Says whether it became so.
    fn run_until(&mut self, span: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(span);
        while !is_so(self) {
            let arrival = self.queue.first_key_value().map_or(Time(u64::MAX), |((at, _), _)| *at);
            let running = self.processes.iter().filter(|process| !process.is_removed);
            let wake = running.map(|process| process.due).min().unwrap_or(Time(u64::MAX));
            if arrival.min(wake) > end {
                self.now = end;
                return false;
            }
            self.now = self.now.max(arrival.min(wake));
            if arrival <= wake {
                self.queue.pop_first().into_iter().for_each(|(_, parcel)| self.arrive(parcel));
                continue;
            }
            for at in 0..self.processes.len() {
                if !self.processes[at].is_removed && self.processes[at].due <= self.now {
                    self.handle(at, Event::Wake);
                }
            }
        }
        true
    }

    fn arrive(&mut self, parcel: Parcel) {
        if self.is_linked(parcel.from, parcel.to) {
            self.handle(parcel.to, Event::Message(Rc::unwrap_or_clone(parcel.message)));
        }
    }

    fn is_linked(&self, from: usize, to: usize) -> bool {
        let [from, to] = [from, to].map(|at| &self.processes[at]);
        from.side == to.side && !from.is_removed && !to.is_removed
    }

    fn handle(&mut self, at: usize, event: Event) {
        let mut actions = Vec::new();
        let process = &mut self.processes[at];
        process.replica.handle(self.now, event, &mut actions);
        process.due = process.replica.deadline();
        self.witness.sees(at, &process.replica);
        for action in actions {
            self.perform(at, action);
        }
    }

    fn perform(&mut self, at: usize, action: Action) {
        match action {
            Action::Persist(record) => {
                if let Record::Body(request) = &record {
                    self.witness.holds(at, request.digest());
                }
                self.processes[at].journal.push(record);
            }
            Action::Answer(..) => {}
            Action::Sign(to, statement) => {
                self.witness.signs(at, &statement);
                let id = self.processes[at].id;
                self.send(at, to, statement.sign(GROUP, id, &Key(Client::Replica(id))));
            }
            Action::Send(to, message) => {
                if let Message::Propose(propose) = &message {
                    self.witness.proposes(at, propose);
                }
                self.send(at, to, message);
            }
            Action::Deliver(decision) => {
                decision.proof.verify(&self.view, &Keys).expect("a decision has its proof");
                self.witness.delivers(at, &decision);
            }
            Action::DeliverTentatively(tentative) => self.witness.foretells(at, &tentative),
            Action::Retract => self.witness.retracts(at),
            Action::SendDecisions { to, from } => {
                let decisions = self.read_log(at, from);
                self.send(at, Recipients::One(to), Message::Decisions(decisions));
            }
            Action::Report(report) => self.witness.reports(at, report),
            action => panic!("no schedule is long enough for a checkpoint: {action:?}"),
        }
    }

    fn read_log(&self, at: usize, from: InstanceId) -> Vec<DecidedBatch> {
        let body = |digest: &Digest| self.bodies[digest].clone();
        let decision = |record: &Record| match record {
            Record::Decided(decided) if decided.proof.instance() >= from => {
                let requests = decided.requests.iter().map(body).collect();
                Some(DecidedBatch { proof: decided.proof.clone(), requests })
            }
            _ => None,
        };
        self.processes[at].journal.iter().filter_map(decision).collect()
    }

    fn send(&mut self, from: usize, to: Recipients, message: Message) {
        let me = self.processes[from].id;
        if to == Recipients::All || to == Recipients::One(me) {
            let message = Rc::new(message.clone().loop_back(me));
            self.post(Duration::ZERO, Parcel { from, to: from, message });
        }
        let is_meant = |id: ReplicaId| id != me && (!matches!(to, Recipients::One(_)) || to == Recipients::One(id));
        let mut opened = None;
        for to in 0..self.processes.len() {
            if !is_meant(self.processes[to].id) || !self.is_linked(from, to) {
                continue;
            }
            // Opened once for all who hear it: what is checked does not depend on who checks it.
            let opened = opened.get_or_insert_with(|| {
                let opened = Sealed::<Message>::open(message.encode(), me, &self.view, &Keys);
                Rc::new(opened.expect("what correct code says is not refused"))
            });
            // About a millisecond. Who is nearer is heard first: of two copies some hear the one first, some the other.
            let delay = Duration::from_micros(1_000 + 10 * ((from + to) % 5) as u64);
            let message = Rc::clone(opened);
            self.post(delay, Parcel { from, to, message });
        }
    }

    fn post(&mut self, delay: Duration, parcel: Parcel) {
        self.sent += 1;
        assert!(self.sent < 200_000, "the processes do not come to rest");
        self.queue.insert((self.now.after(delay), self.sent), parcel);
    }

    fn check(&self) -> Result<(), Violation> {
        self.witness.violation().map_or(Ok(()), Err)
    }
}
