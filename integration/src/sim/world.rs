//! One world: its state, its clock, and what happens next.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use fabric_channel::ChannelConfig;
use fastrand::Rng;
use mod_smart::{Digest, Event, InstanceId, Regency, ReplicaId, RequestId, Time, Voters};

use super::checkers::{self, Checker, Observation, Scene, Standing, Violation};
use super::counts::{Counts, Course};
use super::frontend::Frontend;
use super::liar_client::LiarClient;
use super::nemesis::Nemesis;
use super::network::Network;
use super::node::Node;
use super::plan::{Options, Plan};
use super::queue::{Happening, Life, Place, Queue, SharedBlock};
use super::trace::Trace;
use super::{Outcome, genesis};

/// Everything there is.
pub(super) struct World {
    pub plan: Plan,
    pub now: Time,
    pub queue: Queue,
    pub network: Network,
    pub nodes: Vec<Node>,
    pub standings: Vec<Standing>,
    pub frontends: Vec<Frontend>,
    pub liar_client: Option<LiarClient>,
    pub nemesis: Nemesis,
    pub coalition: Voters,
    pub phase: Phase,
    /// The blocks that correct replicas have cut, for nodes that lack them.
    pub chain: BTreeMap<u64, SharedBlock>,
    /// The application before anything was ordered.
    pub beginning: blockcutter::Ordering,
    /// The configurations that correct replicas put in force, by their sequence.
    pub configurations: Vec<Arc<ChannelConfig>>,
    /// Whether the configuration of a sequence permits a body. The same everywhere, so it is found out once.
    pub verdicts: BTreeMap<(Digest, u64), bool>,
    pub random: Rng,
    pub counts: Counts,
    pub trace: Trace,
    checkers: Vec<Box<dyn Checker>>,
    course: Option<Course>,
    /// Requests of correct clients that nobody correct has executed.
    pub outstanding: BTreeSet<RequestId>,
    /// Where everybody must come to: a decision and a height.
    pub goal: Option<(InstanceId, u64)>,
    /// Frames under way, and their bytes.
    pub load: (usize, usize),
    pub violation: Option<Violation>,
}

/// The two halves of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Anything may go wrong.
    Safety,
    /// Nothing does any more, except that liars lie. Since this time.
    Liveness(Time),
    /// All is well.
    Settled,
}

impl World {
    /// The world that a seed stands for.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let mut random = Rng::with_seed(options.seed ^ 0x00b1_7e5a_dd1e_5eed);
        let plan = Plan::of(options, &mut random)?;
        Self::of(plan, random, options.lines)
    }

    /// A planned world. What the plan leaves to chance comes from `random`.
    pub fn of(plan: Plan, mut random: Rng, lines: usize) -> anyhow::Result<Self> {
        let fork = |random: &mut Rng| Rng::with_seed(random.u64(..));
        let n = plan.view.n();
        // The last place is the lying client's.
        let places = n + plan.frontends + 1;
        let network = Network::new(places, plan.delays, plan.distances, fork(&mut random));
        let coalition = plan.liars.iter().map(|(id, _)| *id).collect::<Voters>();
        let mut nodes = Vec::new();
        for me in plan.view.replicas() {
            let make = plan.liars.iter().find(|(id, _)| *id == me).map(|(_, make)| *make);
            nodes.push(Node::new(me, make.map(|make| make(random.u64(..)))));
        }
        let beginning = genesis::opened(&plan.view, plan.writers)?;
        let configurations: Vec<_> = beginning.configurations().into_values().collect();
        let config = configurations.first().context("a channel has a configuration")?;
        let standing = |me| if coalition.contains(me) { Standing::Liar } else { Standing::Correct };
        let mut world = Self {
            standings: plan.view.replicas().map(standing).collect(),
            frontends: (0..plan.frontends).map(|at| Frontend::new(at, plan.view.clone())).collect(),
            liar_client: (random.u8(..4) == 0 && plan.may_client_lie).then(|| LiarClient::new(fork(&mut random))),
            nemesis: Nemesis::new(fork(&mut random)),
            course: plan.interval.map(Course::new),
            plan,
            now: Time(1_000_000),
            queue: Queue::default(),
            network,
            nodes,
            coalition,
            phase: Phase::Safety,
            chain: BTreeMap::new(),
            random,
            counts: Counts::default(),
            trace: if lines > 0 { Trace::written(lines) } else { Trace::hashed() },
            checkers: checkers::all(Arc::clone(config)),
            verdicts: BTreeMap::new(),
            configurations,
            beginning,
            outstanding: BTreeSet::new(),
            goal: None,
            load: (0, 0),
            violation: None,
        };
        world.begin();
        Ok(world)
    }

    fn begin(&mut self) {
        let plan = &self.plan;
        let liars: Vec<String> = plan.liars.iter().map(|(id, make)| format!("{id}: {}", make(0).name())).collect();
        self.trace.say(self.now, || {
            format!(
                "{} replicas, {:?} faults, f = {}, quorum {}, first leader {}, alpha {}, liars [{}], checkpoint every {}, \
                 timeout {:?}",
                plan.view.n(),
                plan.view.fault_model(),
                plan.view.f(),
                plan.view.quorum_weight().0,
                plan.view.leader(Regency(0)),
                plan.limits.instances_open_max,
                liars.join(", "),
                plan.limits.checkpoint_interval,
                plan.limits.request_timeout
            )
        });
        self.counts.liars(liars.len() as u64);
        self.counts.world(&plan.view, plan.limits.instances_open_max);
        for place in 0..self.nodes.len() {
            let wait = Duration::from_micros(self.random.u64(..STARTS_WITHIN_US));
            self.queue.after(self.now, wait, Happening::Start(place));
        }
        for frontend in 0..self.frontends.len() {
            self.queue.after(self.now, Duration::from_millis(60), Happening::Submit(frontend));
            self.queue.after(self.now, Duration::from_millis(50), Happening::FrontendWake(frontend));
        }
        if let Some(every) = self.plan.update_every {
            self.queue.after(self.now, every, Happening::Administer);
        }
        if let Some(every) = self.plan.hand_over_every {
            self.queue.after(self.now, every, Happening::HandOver);
        }
        if self.liar_client.is_some() {
            self.counts.fault("lying client");
            self.queue.after(self.now, Duration::from_millis(500), Happening::ClientLies);
        }
        self.queue.after(self.now, Duration::from_millis(600), Happening::Fault);
    }

    /// Lives to the end: both phases have passed, or something was seen that must not be. A panic is such a thing.
    pub fn run(&mut self) {
        let lived = catch_unwind(AssertUnwindSafe(|| self.live()));
        if let Err(panic) = lived {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            self.fail("no panic", text.unwrap_or_default());
        }
    }

    fn live(&mut self) {
        let end_of_safety = self.now.after(self.plan.safety);
        let (mut second, mut happened) = (self.now, 0_u64);
        while self.violation.is_none() && self.phase != Phase::Settled {
            let Some((at, happening)) = self.queue.pop() else { return };
            if self.phase == Phase::Safety && at >= end_of_safety {
                self.end_faults(end_of_safety);
            }
            self.now = self.now.max(at);
            if self.now >= second.after(Duration::from_secs(1)) {
                (second, happened) = (self.now, 0);
            }
            happened += 1;
            if happened > HAPPENINGS_PER_SECOND_MAX {
                return self.fail("bounds", format!("{happened} things happened in less than a second"));
            }
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame { from, to, frame } => self.arrive(from, to, frame),
            Happening::Reconnected(a, b) => {
                for (here, there) in [(a, b), (b, a)] {
                    let peer = ReplicaId(there as u16);
                    if self.nodes[here].is_up() && self.nodes[there].is_up() {
                        self.hear(here, Event::Connected(peer));
                    }
                }
            }
            Happening::Start(place) => self.start(place),
            Happening::Resume(place) => self.resume(place),
            Happening::Wake(place, life) => self.wake(place, life),
            Happening::Tick(place, life) => self.tick(place, life),
            Happening::Synced(place, life) => self.synced(place, life),
            Happening::Saved(place, life, saving) => self.saved(place, life, *saving),
            Happening::Installing(place, life, installing) => self.install(place, life, *installing),
            Happening::CutTimer(place, life) => self.cut_timer(place, life),
            Happening::Leaving(place, life, outgoing) => {
                if self.is_alive(place, life) {
                    self.leave(place, outgoing);
                }
            }
            Happening::Submit(frontend) => self.submit(frontend),
            Happening::FrontendWake(frontend) => self.frontend_wake(frontend),
            Happening::Administer => self.administer(),
            Happening::HandOver => self.hand_over(),
            Happening::ClientLies => self.client_lies(),
            Happening::Fault => self.strike(),
            Happening::Relief(relief) => self.relieve(relief),
            Happening::Settled => self.look_whether_settled(),
        }
    }

    /// Is this the running, unpaused process that something was planned for? What a paused one misses it makes up for when it
    /// goes on.
    pub fn is_alive(&self, place: Place, life: Life) -> bool {
        self.nodes[place].life == life && self.nodes[place].is_up()
    }

    pub fn scene(&self) -> Scene<'_> {
        Scene { view: &self.plan.view, now: self.now, standings: &self.standings }
    }

    /// Shows something to the checkers.
    pub fn observe(&mut self, seen: &Observation<'_>) {
        if self.violation.is_some() {
            return;
        }
        if let Some(course) = &mut self.course {
            course.observe(self.now, seen);
        }
        let scene = Scene { view: &self.plan.view, now: self.now, standings: &self.standings };
        if let Some(violation) = checkers::observe(&mut self.checkers, &scene, seen) {
            self.fail(violation.property, violation.what);
        }
    }

    /// Shows the checkers how full the world is.
    pub fn observe_load(&mut self) {
        self.counts.queue_max = self.counts.queue_max.max(self.queue.len());
        self.observe(&Observation::Load(self.load.0, self.load.1));
    }

    pub fn fail(&mut self, property: &'static str, what: String) {
        if self.violation.is_none() {
            self.trace.say(self.now, || format!("VIOLATION of {property}: {what}"));
            self.violation = Some(Violation { property, what });
        }
    }

    /// What became of it.
    pub fn into_outcome(mut self) -> Outcome {
        self.counts.time = self.now.0;
        self.counts.events = self.trace.events();
        (self.counts.messages_lost, self.counts.messages_repeated) = (self.network.lost, self.network.repeated);
        let (violation, hash) = (self.violation, self.trace.hash());
        let story = self.trace.into_lines().collect();
        Outcome { counts: self.counts, violation, hash, story, course: self.course }
    }

    /// Who is neither a liar nor without a working memory.
    pub fn is_believed(&self, place: Place) -> bool {
        self.standings[place] != Standing::Liar
    }
}

/// Ten replicas under load, liars among them, come to a tenth of it.
const HAPPENINGS_PER_SECOND_MAX: u64 = 1_000_000;

/// Nodes of a new group start within so many microseconds.
const STARTS_WITHIN_US: u64 = 20_000;
