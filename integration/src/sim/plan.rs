//! What a seed stands for: the group, its limits, its surroundings, who lies, and which faults can happen.

use std::time::Duration;

use fastrand::Rng;
use mod_smart::{FaultModel, GroupId, Limits, ReplicaId, View, Voters};
use orderer_node::journal::JournalOptions;

use super::actors::{self, Make};
use super::genesis::Writers;
use super::nemesis::FaultKind;
use super::network::Delays;

/// The name of the group in every world.
pub const GROUP: GroupId = GroupId([0x5e; 32]);

/// What may be asked of a run beside its seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The number everything comes from.
    pub seed: u64,
    /// This many replicas, instead of as many as the seed says.
    pub n: Option<usize>,
    /// Groups whose replicas only crash, instead of those that the seed says.
    pub is_crash_only: bool,
    /// As many liars of this kind as the group tolerates, instead of those that the seed says.
    pub actor: Option<String>,
    /// Batches are given to the applications before they are decided, in every world and not in every other one.
    pub tentative: bool,
    /// How many lines of the story to keep; none if 0.
    pub lines: usize,
}

/// A world before it begins.
#[derive(Debug)]
pub(super) struct Plan {
    pub view: View,
    pub limits: Limits,
    pub journal: JournalOptions,
    /// Who lies, and how.
    pub liars: Vec<(ReplicaId, Make)>,
    pub delays: Delays,
    /// How far apart places are at most.
    pub distances: Duration,
    /// How long a sync takes: at least, and up to so much more.
    pub sync: (Duration, Duration),
    /// How long the phase with faults is.
    pub safety: Duration,
    /// Between two requests of one frontend, on average.
    pub request_every: Duration,
    pub rhythm: Rhythm,
    /// No more requests than this in all.
    pub requests_max: u64,
    /// Envelopes in a request: from, to.
    pub envelopes: (usize, usize),
    /// Whom the policies of the channel ask for.
    pub writers: Writers,
    /// Between two updates of the configuration, on average; none if never.
    pub update_every: Option<Duration>,
    pub frontends: usize,
    /// How far a frontend numbers beyond its lowest request that is not held: beyond that it refuses.
    pub frontend_window: u64,
    /// May one more client be there, that lies?
    pub may_client_lie: bool,
    /// Bytes that every state is padded with.
    pub padding: usize,
    /// Which faults happen in this world, and how often on average.
    pub faults: Vec<FaultKind>,
    pub fault_every: Duration,
    /// Between two hand-overs, on average; none if never.
    pub hand_over_every: Option<Duration>,
    /// Deliveries are counted over so long each; not at all if none.
    pub interval: Option<Duration>,
}

/// When the clients of a frontend ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// At random times.
    Random,
    /// At equal distances.
    Steady,
    /// Whenever the frontend has room, as far as it looks.
    Full,
}

impl Plan {
    pub fn of(options: &Options, random: &mut Rng) -> anyhow::Result<Self> {
        let view = draw_view(options, random)?;
        let liars = draw_liars(options, &view, random)?;
        let frontends = random.usize(2..=3);
        let batch_requests_max = [1, 2, 3, 5, 8][random.usize(..5)];
        let limits = Limits {
            batch_requests_max,
            batch_bytes_max: [600, 2_000, 60_000][random.usize(..3)],
            pending_bytes_max: 400 << 10,
            client_pending_bytes_max: 150 << 10,
            fetched_bytes_reserve: 50 << 10,
            session_window: [16, 64, 256][random.usize(..3)],
            instances_open_max: draw_alpha(random),
            instances_early_max: [2, 32][random.usize(..2)],
            // Where nobody writes nothing is tentative.
            tentative: view.has_writes() && (options.tentative || random.bool()),
            request_timeout: millis(random, 200..400),
            status_interval: millis(random, 200..500),
            fetch_interval: millis(random, 80..200),
            checkpoint_interval: random.u64(8..=20),
            request_timeout_max: Duration::from_secs(3),
            founding_patience: Duration::from_millis(150),
            readmission_interval: Duration::from_secs(1),
            hand_over_interval: millis(random, 100..2_000),
            ..Limits::default()
        };
        let frontend_window = limits.session_window;
        // Real signatures cost real time: some worlds are enough. Smugglers need rules to break.
        let is_strict = random.u8(..8) == 0 || liars.iter().any(|(_, make)| make(0).name() == "smuggler");
        let journal = JournalOptions {
            segment_bytes: 1 << random.u32(12..=16),
            bodies_waiting_max: [4, 100, 10_000][random.usize(..3)],
            bodies_recent_max: [4, 100, 10_000][random.usize(..3)],
            decisions_indexed_max: [4, 100, 10_000][random.usize(..3)],
            ..JournalOptions::default()
        };
        let faults = FaultKind::ALL.iter().copied().filter(|_| random.u8(..3) > 0);
        let faults = faults.filter(|fault| may_happen(*fault, &view)).collect();
        let delays = Delays {
            min: micros(random, 50..2_000),
            spread: micros(random, 100..4_000),
            stragglers: [0, 0, 5, 30][random.usize(..4)],
        };
        Ok(Self {
            view,
            limits,
            journal,
            liars,
            delays,
            distances: [Duration::ZERO, micros(random, 1_000..20_000)][usize::from(random.u8(..4) == 0)],
            sync: (micros(random, 100..1_000), micros(random, 100..4_000)),
            safety: millis(random, 7_000..11_000),
            request_every: millis(random, 35..70) * frontends as u32,
            rhythm: Rhythm::Random,
            requests_max: u64::MAX,
            envelopes: (1, 3),
            writers: if is_strict { Writers::Members } else { Writers::Anybody },
            update_every: (is_strict || random.u8(..8) == 0).then(|| millis(random, 1_000..4_000)),
            frontends,
            frontend_window,
            may_client_lie: true,
            padding: if random.u8(..10) == 0 { random.usize(300..600) << 10 } else { 0 },
            faults,
            hand_over_every: (random.u8(..3) == 0).then(|| millis(random, 500..3_000)),
            fault_every: millis(random, 200..600),
            interval: None,
        })
    }
}

fn draw_view(options: &Options, random: &mut Rng) -> anyhow::Result<View> {
    let flat = |n| View::flat(GROUP, n);
    let drawn = random.u32(..100);
    let view = match (options.is_crash_only, options.n, drawn) {
        (true, n, _) => draw_crash_only(n, random)?,
        (false, Some(n @ 4..=7), 0..50) => draw_weighted(1, n - 4, random)?,
        (false, Some(n), _) => flat(n)?,
        (false, None, 0..32) => flat(4)?,
        (false, None, 32..36) => flat(5)?,
        (false, None, 36..40) => flat(6)?,
        (false, None, 40..56) => draw_weighted(1, random.usize(0..=3), random)?,
        (false, None, 56..66) => flat(7)?,
        (false, None, 66..74) => draw_weighted(2, random.usize(0..=3), random)?,
        (false, None, 74..78) => flat(10)?,
        (false, None, _) => draw_crash_only(None, random)?,
    };
    if random.u8(..3) > 0 {
        return Ok(view);
    }
    let mut leaders: Vec<ReplicaId> = view.replicas().collect();
    random.shuffle(&mut leaders);
    leaders.truncate(random.usize(1..=leaders.len()));
    Ok(view.with_leaders(&leaders)?)
}

fn draw_weighted(f: usize, delta: usize, random: &mut Rng) -> anyhow::Result<View> {
    Ok(View::weighted(GROUP, f, delta, draw_heavy(3 * f + 1 + delta, 2 * f, random))?)
}

fn draw_crash_only(n: Option<usize>, random: &mut Rng) -> anyhow::Result<View> {
    let n = n.unwrap_or_else(|| random.usize(3..=7));
    if n < 3 || random.bool() {
        return Ok(View::crash_only(GROUP, n)?);
    }
    let f = if n < 5 { 1 } else { random.usize(1..=2) };
    Ok(View::crash_only_weighted(GROUP, f, n - 2 * f - 1, draw_heavy(n, f, random))?)
}

fn draw_heavy(n: usize, count: usize, random: &mut Rng) -> Voters {
    let mut ids: Vec<ReplicaId> = (0..n as u16).map(ReplicaId).collect();
    random.shuffle(&mut ids);
    ids.into_iter().take(count).collect()
}

/// The window of open instances: one, a few, or up to sixteen.
fn draw_alpha(random: &mut Rng) -> u64 {
    match random.u8(..5) {
        0 | 1 => 1,
        2 => random.u64(2..=4),
        _ => random.u64(2..=16),
    }
}

/// Where nobody lies, no disk does: a replica that does not know what it forgot is a liar.
fn may_happen(fault: FaultKind, view: &View) -> bool {
    let is_lie = matches!(fault, FaultKind::LostSync | FaultKind::CorruptDisk | FaultKind::MisdirectedWrite);
    view.fault_model() == FaultModel::Byzantine || !is_lie
}

fn draw_liars(options: &Options, view: &View, random: &mut Rng) -> anyhow::Result<Vec<(ReplicaId, Make)>> {
    let kinds = actors::all();
    let named = match &options.actor {
        None => None,
        Some(name) => {
            let at = kinds.iter().position(|make| make(0).name() == name);
            let known = || kinds.iter().map(|make| make(0).name()).collect::<Vec<_>>().join(", ");
            Some(at.ok_or_else(|| anyhow::anyhow!("no actor is called {name}; there are: {}", known()))?)
        }
    };
    let count = match named {
        _ if view.fault_model() == FaultModel::Crash => 0,
        Some(_) => view.f(),
        None if view.f() == 0 || random.u8(..10) < 3 => 0,
        None => random.usize(1..=view.f()),
    };
    let mut ids: Vec<ReplicaId> = view.replicas().collect();
    random.shuffle(&mut ids);
    let mut draw = || kinds[named.unwrap_or_else(|| random.usize(..kinds.len()))];
    Ok(ids.into_iter().take(count).map(|id| (id, draw())).collect())
}

fn millis(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range))
}

fn micros(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_micros(random.u64(range))
}
