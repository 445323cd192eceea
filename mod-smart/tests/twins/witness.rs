//! Watches every process, and knows what is wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{
    Decision, Digest, Epoch, InstanceId, Misbehaviour, Regency, Replica, ReplicaId, Request, Sealed, Statement,
    StopData, Tentative, View, Voters,
};

use crate::schedule::name;

/// What is wrong. Processes are named as in the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two processes were given different decisions of one instance, each with a proof.
    Fork { instance: InstanceId, processes: [String; 2], are_correct: bool },
    /// Decisions were not delivered one after the other.
    Gap(String, InstanceId),
    /// A request was delivered twice.
    Repeated(String, InstanceId),
    /// What was given tentatively was neither decided nor taken back, or not given in its place.
    NotTakenBack(String, InstanceId),
    /// Blocks of a quorum, the twins among it, over one history up to this instance; a correct process has delivered
    /// another one.
    FinalTakenBack(InstanceId, String),
    /// A process went back to an earlier regency.
    RegencyFell(String, Regency),
    /// A correct replica signed two different things where it may sign one, or proposed them.
    Contradiction(String),
    /// A correct replica named a correct one as a liar.
    Accused(String, Misbehaviour),
    /// The parts of a replica do not fit.
    Broken(String, &'static str),
    /// The network is whole, and a correct replica still lacks what another one holds or has delivered.
    Stuck { delivered: Vec<(String, usize)>, owed: usize },
}

/// How the twins contradicted each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// Two batches for one instance and epoch.
    pub proposals: bool,
    /// Two WRITEs or two ACCEPTs for one instance and epoch.
    pub votes: bool,
    /// Two stories about one regency: what one copy knows the other one has forgotten.
    pub stop_data: bool,
}

/// What was given to applications before its decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foretold {
    /// Batches, counted at each process.
    pub batches: u64,
    /// How often a process took some back.
    pub taken_back: u64,
}

/// Everything up to an instance: what the header of a block commits to.
type History = Vec<(InstanceId, Vec<Digest>)>;

/// Everything that was seen of one schedule.
#[derive(Debug)]
pub struct Witness {
    view: View,
    processes: Vec<ReplicaId>,
    twins: Vec<ReplicaId>,
    is_removed: Vec<bool>,
    delivered: Vec<Delivered>,
    /// Which replicas have signed this, tentatively or not: in any regency, since a peer sees none.
    signed: BTreeMap<(InstanceId, History), Voters>,
    regencies: Vec<Regency>,
    decided: BTreeMap<InstanceId, BTreeMap<usize, (Digest, Vec<Digest>)>>,
    /// Which correct processes hold or have delivered it: all of them must deliver it, while one of these is there.
    held: BTreeMap<Digest, BTreeSet<usize>>,
    proposals: BTreeMap<(ReplicaId, InstanceId, Epoch), Digest>,
    votes: BTreeMap<(ReplicaId, VoteKind, InstanceId, Epoch), Digest>,
    stop_data: BTreeMap<(usize, Regency), StopData>,
    pub conflicts: Conflicts,
    pub foretold: Foretold,
    /// Did a correct replica name a twin as a liar?
    pub has_named_twin: bool,
    violation: Option<Violation>,
}

#[derive(Clone, Debug, Default)]
struct Delivered {
    history: History,
    requests: BTreeSet<Digest>,
    /// What was given tentatively and not delivered since.
    ahead: VecDeque<(InstanceId, Vec<Digest>)>,
}

impl Delivered {
    fn last(&self) -> InstanceId {
        self.history.last().map_or(InstanceId(0), |(instance, _)| *instance)
    }
}

impl Witness {
    pub fn new(processes: &[ReplicaId], twins: &[ReplicaId], view: View) -> Self {
        Self {
            view,
            is_removed: vec![false; processes.len()],
            delivered: vec![Delivered::default(); processes.len()],
            regencies: vec![Regency(0); processes.len()],
            processes: processes.to_vec(),
            twins: twins.to_vec(),
            signed: BTreeMap::new(),
            decided: BTreeMap::new(),
            held: BTreeMap::new(),
            proposals: BTreeMap::new(),
            votes: BTreeMap::new(),
            stop_data: BTreeMap::new(),
            conflicts: Conflicts::default(),
            foretold: Foretold::default(),
            has_named_twin: false,
            violation: None,
        }
    }

    /// Looks at a replica after each event.
    pub fn sees(&mut self, process: usize, replica: &Replica) {
        let known = std::mem::replace(&mut self.regencies[process], replica.regency());
        if replica.regency() < known {
            self.violate(Violation::RegencyFell(self.name(process), known));
        }
        if let Err(broken) = replica.invariants() {
            self.violate(Violation::Broken(self.name(process), broken));
        }
    }

    pub fn holds(&mut self, process: usize, digest: Digest) {
        if self.is_correct(process) {
            self.held.entry(digest).or_default().insert(process);
        }
    }

    /// The process is gone for good. What it alone holds nobody can deliver.
    pub fn removes(&mut self, process: usize) {
        self.is_removed[process] = true;
    }

    /// The process begins again, and delivers again what it had delivered.
    pub fn restarts(&mut self, process: usize) {
        self.delivered[process] = Delivered::default();
    }

    pub fn delivers(&mut self, process: usize, decision: &Decision) {
        let digests: Vec<Digest> = decision.requests.iter().map(Sealed::<Request>::digest).collect();
        let mine = &mut self.delivered[process];
        let follows = decision.instance == mine.last().next();
        let is_as_foretold =
            mine.ahead.pop_front().is_none_or(|foretold| foretold == (decision.instance, digests.clone()));
        mine.history.push((decision.instance, digests.clone()));
        let is_new = digests.iter().all(|digest| mine.requests.insert(*digest));
        let history = mine.history.clone();
        if !follows {
            self.violate(Violation::Gap(self.name(process), decision.instance));
        }
        if !is_as_foretold {
            self.violate(Violation::NotTakenBack(self.name(process), decision.instance));
        }
        if !is_new {
            self.violate(Violation::Repeated(self.name(process), decision.instance));
        }
        digests.iter().for_each(|digest| self.holds(process, *digest));
        self.signs_block(process, decision.instance, history);
        let by_process = self.decided.entry(decision.instance).or_default();
        let decided = (decision.proof.digest(), digests);
        let known = by_process.entry(process).or_insert_with(|| decided.clone());
        if *known != decided {
            self.violate(self.fork(decision.instance, [process, process]));
        }
    }

    pub fn foretells(&mut self, process: usize, tentative: &Tentative) {
        let digests: Vec<Digest> = tentative.requests.iter().map(Sealed::<Request>::digest).collect();
        let mine = &mut self.delivered[process];
        let last = mine.ahead.back().map_or(mine.last(), |(instance, _)| *instance);
        mine.ahead.push_back((tentative.instance, digests));
        let history = mine.history.iter().chain(&mine.ahead).cloned().collect();
        self.foretold.batches += 1;
        self.signs_block(process, tentative.instance, history);
        if tentative.instance != last.next() {
            self.violate(Violation::NotTakenBack(self.name(process), tentative.instance));
        }
    }

    pub fn retracts(&mut self, process: usize) {
        self.foretold.taken_back += 1;
        self.delivered[process].ahead.clear();
    }

    fn signs_block(&mut self, process: usize, instance: InstanceId, history: History) {
        self.signed.entry((instance, history)).or_default().insert(self.processes[process]);
    }

    pub fn proposes(&mut self, process: usize, propose: &Propose) {
        let id = self.processes[process];
        let known = *self.proposals.entry((id, propose.instance, propose.epoch)).or_insert(propose.digest());
        if known != propose.digest() {
            self.conflicts.proposals = true;
            self.forbid_to_correct(process);
        }
    }

    pub fn signs(&mut self, process: usize, statement: &Statement) {
        match statement {
            Statement::Vote(Vote { kind, instance, epoch, digest }) => {
                let id = self.processes[process];
                if *self.votes.entry((id, *kind, *instance, *epoch)).or_insert(*digest) != *digest {
                    self.conflicts.votes = true;
                    self.forbid_to_correct(process);
                }
            }
            Statement::StopData(data) => {
                // What one replica tells of a regency may grow. The copies are compared by what each said first.
                let Some(twin) = self.twin_of(process) else { return };
                self.stop_data.entry((process, data.regency)).or_insert_with(|| data.clone());
                let said = [process, twin].map(|copy| self.stop_data.get(&(copy, data.regency)));
                self.conflicts.stop_data |= said[1].is_some() && said[0] != said[1];
            }
            Statement::Checkpoint(_) => {}
        }
    }

    pub fn reports(&mut self, process: usize, report: Misbehaviour) {
        if !self.is_correct(process) {
            return;
        }
        if self.twins.contains(&report.replica) {
            self.has_named_twin = true;
        } else {
            self.violate(Violation::Accused(self.name(process), report));
        }
    }

    /// Have all correct replicas delivered everything that any of them holds?
    pub fn is_nothing_owed(&self) -> bool {
        let is_there = |holders: &BTreeSet<usize>| holders.iter().any(|holder| !self.is_removed[*holder]);
        let owed: BTreeSet<&Digest> =
            self.held.iter().filter(|(_, holders)| is_there(holders)).map(|(digest, _)| digest).collect();
        self.correct().all(|process| owed.iter().all(|digest| self.delivered[process].requests.contains(digest)))
    }

    /// How many instances were decided.
    pub fn decisions(&self) -> usize {
        self.decided.len()
    }

    /// The highest regency that a correct replica is in.
    pub fn regency(&self) -> Regency {
        self.correct().map(|process| self.regencies[process]).max().unwrap_or_default()
    }

    /// What is wrong with all that was seen so far; a fork first, between correct replicas if there is such a one.
    pub fn violation(&self) -> Option<Violation> {
        let forks = || self.decided.iter().flat_map(|(instance, decided)| self.forks(*instance, decided));
        let fork = forks().find(|fork| matches!(fork, Violation::Fork { are_correct: true, .. }));
        fork.or_else(|| forks().next()).or_else(|| self.violation.clone()).or_else(|| self.final_taken_back())
    }

    /// A peer takes a block that a quorum has signed, whoever shows it and whenever they signed it. Liars sign everything.
    fn final_taken_back(&self) -> Option<Violation> {
        let liars = || self.twins.iter().copied();
        let is_final = |signers: &Voters| self.view.is_quorum(signers.iter().chain(liars()).collect());
        self.signed.iter().filter(|(_, signers)| is_final(signers)).find_map(|((instance, shown), _)| {
            let differs = |process: &usize| {
                let delivered = &self.delivered[*process];
                delivered.last() >= *instance && !delivered.history.starts_with(shown)
            };
            let process = (0..self.processes.len()).filter(|process| self.is_correct(*process)).find(differs)?;
            Some(Violation::FinalTakenBack(*instance, self.name(process)))
        })
    }

    /// That the network has been whole for long, and something is owed.
    pub fn stuck(&self) -> Violation {
        let delivered = |process: usize| (self.name(process), self.delivered[process].requests.len());
        Violation::Stuck { delivered: self.correct().map(delivered).collect(), owed: self.held.len() }
    }

    fn forks<'a>(
        &'a self,
        instance: InstanceId,
        decided: &'a BTreeMap<usize, (Digest, Vec<Digest>)>,
    ) -> impl Iterator<Item = Violation> + 'a {
        decided.iter().flat_map(move |(&one, mine)| {
            let others = decided.range(one..).filter(move |(_, theirs)| *theirs != mine);
            others.map(move |(&other, _)| self.fork(instance, [one, other]))
        })
    }

    fn fork(&self, instance: InstanceId, processes: [usize; 2]) -> Violation {
        let are_correct = processes.iter().all(|process| self.is_correct(*process));
        Violation::Fork { instance, processes: processes.map(|process| self.name(process)), are_correct }
    }

    fn forbid_to_correct(&mut self, process: usize) {
        if self.is_correct(process) {
            self.violate(Violation::Contradiction(self.name(process)));
        }
    }

    fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    fn name(&self, process: usize) -> String {
        name(&self.processes, process)
    }

    fn twin_of(&self, process: usize) -> Option<usize> {
        let id = self.processes[process];
        (0..self.processes.len()).find(|other| *other != process && self.processes[*other] == id)
    }

    fn is_correct(&self, process: usize) -> bool {
        !self.twins.contains(&self.processes[process])
    }

    fn correct(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.processes.len()).filter(|process| self.is_correct(*process) && !self.is_removed[*process])
    }
}
