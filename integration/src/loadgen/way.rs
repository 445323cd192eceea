//! Where the load goes in and comes out: through Fabric's interface, or through frontends of this process.

use std::sync::Arc;
use std::time::Instant;

use orderer_node::client::{Endpoint, EnvelopeFactory};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::chain::Chain;
use super::direct::{DirectFrontend, DirectFrontends};
use super::direct_lane::DirectLane;
use super::dues::Dues;
use super::lane::Lane;
use super::limits::{STRAYS_DUE_MAX, STREAM_DUE_MAX};
use super::matching::{ChannelIndex, LaneIndex};
use super::pacer::{self, Schedule};
use super::plan::{Pace, Plan};
use super::receiver::{Receiver, Role, Task};
use super::shared::Shared;
use super::stock::Maker;
use super::stray::Stray;

/// Where the load goes in and comes out.
pub(super) enum Way {
    /// Broadcast to these frontends.
    Broadcast {
        /// The frontends.
        frontends: Vec<Endpoint>,
        /// Make envelopes that should be refused, one for each channel; none if there are to be none.
        strays: Vec<Maker>,
    },
    /// Frontends of this process.
    Direct(DirectFrontends),
}

/// Lanes at work.
pub(super) type Lanes = Vec<AbortOnDropHandle<()>>;

impl Way {
    /// Frontends sent to.
    pub(super) const fn frontends(&self) -> usize {
        match self {
            Self::Broadcast { frontends, .. } => frontends.len(),
            Self::Direct(direct) => direct.frontends.len(),
        }
    }

    /// How many lanes there are, those for what should be refused among them.
    pub(super) const fn lane_count(&self, plan: &Plan) -> usize {
        self.stream_count(plan) + self.stray_count()
    }

    /// How many of them carry what is measured.
    pub(super) const fn stream_count(&self, plan: &Plan) -> usize {
        self.frontends() * plan.streams_per_frontend
    }

    const fn stray_count(&self) -> usize {
        match self {
            Self::Broadcast { frontends, strays } if !strays.is_empty() => frontends.len(),
            Self::Broadcast { .. } | Self::Direct(_) => 0,
        }
    }

    /// Begins to send.
    pub(super) fn start_lanes(&self, plan: &Plan, shared: &Arc<Shared>) -> Lanes {
        let mut queues = Vec::new();
        let streams = self.stream_count(plan);
        let mut dues = || match plan.pace {
            Pace::ClosedLoop { .. } => Dues::WhenFree,
            Pace::OpenLoop { .. } => {
                let (queue, dues) = mpsc::channel(STREAM_DUE_MAX);
                queues.push(queue);
                Dues::Paced(dues)
            }
        };
        let mut lanes = Lanes::new();
        match self {
            Self::Broadcast { frontends, strays } => {
                let strays = start_strays(frontends, strays, streams, shared, &mut lanes);
                for index in 0..streams {
                    let frontend = index % frontends.len();
                    let lane = Lane {
                        index: LaneIndex(index),
                        frontend,
                        endpoint: frontends[frontend].clone(),
                        dues: dues(),
                        stray: strays.get(frontend).cloned(),
                        shared: Arc::clone(shared),
                    };
                    lanes.push(AbortOnDropHandle::new(tokio::spawn(lane.run())));
                }
            }
            Self::Direct(direct) => {
                for index in 0..streams {
                    let frontend = &direct.frontends[index % direct.frontends.len()];
                    let lane = DirectLane {
                        index: LaneIndex(index),
                        frontend: frontend.handle.clone(),
                        channels: frontend.channels.clone(),
                        dues: dues(),
                        shared: Arc::clone(shared),
                    };
                    lanes.push(AbortOnDropHandle::new(tokio::spawn(lane.run())));
                }
            }
        }
        if let Pace::OpenLoop { rate_per_s, ramp } = plan.pace {
            pacer::start(Schedule { rate_per_s, ramp }, queues, Arc::clone(shared));
        }
        lanes
    }

    /// Begins to receive: the receivers of each channel, the one that measures first.
    pub(super) fn start_receivers(
        &self,
        plan: &Plan,
        chains: &[Chain],
        endpoints: &[Endpoint],
        factories: &[EnvelopeFactory],
        shared: &Arc<Shared>,
    ) -> Vec<Vec<Receiver>> {
        let start = |(at, factory): (usize, &EnvelopeFactory)| {
            let channel = ChannelIndex(at);
            let mut receivers = match self {
                Self::Broadcast { .. } => Vec::new(),
                Self::Direct(direct) => direct.receivers(channel, shared),
            };
            for index in 0..plan.receivers {
                let mut endpoints = endpoints.to_vec();
                let first = index % endpoints.len();
                endpoints.rotate_left(first);
                let role = if receivers.is_empty() { Role::Measures } else { Role::Follows };
                let Chain { height: next, tip, .. } = chains[at];
                let task = Task { channel, role, next, tip, shared: Arc::clone(shared) };
                receivers.push(Receiver::of_endpoints(endpoints, factory.clone(), task));
            }
            receivers
        };
        factories.iter().enumerate().map(start).collect()
    }

    /// Lets go of what is this process's own.
    pub(super) async fn stop(&self) {
        if let Self::Direct(direct) = self {
            direct.stop().await;
        }
    }
}

impl DirectFrontends {
    /// Follows the ledgers of all frontends; the first one's is measured.
    fn receivers(&self, channel: ChannelIndex, shared: &Arc<Shared>) -> Vec<Receiver> {
        let start = |(index, frontend): (usize, &DirectFrontend)| {
            let ledger = frontend.channels[channel.0].ledger();
            let (next, tip) = frontend.ends[channel.0];
            let role = if index == 0 { Role::Measures } else { Role::Follows };
            let task = Task { channel, role, next, tip, shared: Arc::clone(shared) };
            Receiver::of_ledger(Arc::clone(ledger), task)
        };
        self.frontends.iter().enumerate().map(start).collect()
    }
}

/// For each frontend a lane for what should be refused, behind the others. They end when nobody can give them anything.
fn start_strays(
    frontends: &[Endpoint],
    makers: &[Maker],
    first_index: usize,
    shared: &Arc<Shared>,
    lanes: &mut Lanes,
) -> Vec<mpsc::Sender<Instant>> {
    if makers.is_empty() {
        return Vec::new();
    }
    let start = |(index, endpoint): (usize, &Endpoint)| {
        let (queue, dues) = mpsc::channel(STRAYS_DUE_MAX);
        let index = LaneIndex(first_index + index);
        let (endpoint, makers, shared) = (endpoint.clone(), makers.to_vec(), Arc::clone(shared));
        let stray = Stray { index, endpoint, makers, dues, shared };
        lanes.push(AbortOnDropHandle::new(tokio::spawn(stray.run())));
        queue
    };
    frontends.iter().enumerate().map(start).collect()
}
