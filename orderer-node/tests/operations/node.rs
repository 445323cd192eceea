//! A node that is told how it is, and the endpoint in front of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fabric_proto::ChannelId;
use frontend_shim::counters::{FrontendCounters, NodeCounters};
use frontend_shim::stages::{StageFigures, StageReport};
use frontend_shim::status::{ChannelReport, CountersReport, StatusReport};
use orderer_node::application::ApplicationCounts;
use orderer_node::block_catch_up::CatchUpReport;
use orderer_node::http_server::HttpTls;
use orderer_node::listener::ListenerCounters;
use orderer_node::mesh::{MeshDoorCounters, PeerCounters};
use orderer_node::operations::{
    self, ConsenterCertificate, DiskSpace, LogSpec, Observed, Operations, ProcessFigures, Snapshot, Version,
    WatchedCertificate,
};
use orderer_node::participation::{ChannelInfo, ChannelStatus, ConsensusRelation};
use orderer_node::status::{
    GroupReport, JournalReport, MemberReport, MisbehaviourReport, NodeReport, OrderingReport, RegencyChangeReport,
};
use tokio_util::sync::CancellationToken;

/// When every snapshot is taken.
pub const NOW: u64 = 1_800_000_000;

/// Whatever the test says.
pub struct Told(pub Mutex<Snapshot>);

impl Observed for Told {
    fn snapshot(&self) -> Snapshot {
        self.0.lock().unwrap().clone()
    }
}

/// Takes every specification but one.
pub struct FakeLogSpec(pub Mutex<String>);

impl LogSpec for FakeLogSpec {
    fn spec(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, spec: &str) -> Result<(), String> {
        if spec == "nonsense" {
            return Err("invalid logging specification 'nonsense': bad segment 'nonsense'".to_owned());
        }
        spec.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}

/// The endpoint at work.
pub struct Served {
    pub address: SocketAddr,
    pub told: Arc<Told>,
    pub log_spec: Arc<FakeLogSpec>,
}

impl Served {
    pub fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.told.0.lock().unwrap());
    }
}

/// What there is to serve, from a node that is well.
pub fn operations(has_metrics: bool) -> (Operations, Arc<Told>, Arc<FakeLogSpec>) {
    let told = Arc::new(Told(Mutex::new(well())));
    let log_spec = Arc::new(FakeLogSpec(Mutex::new("info".to_owned())));
    let operations = Operations {
        observed: told.clone(),
        log_spec: log_spec.clone(),
        version: Version { version: "1.2.3".to_owned(), commit: Some("abc123".to_owned()) },
        has_metrics,
    };
    (operations, told, log_spec)
}

pub async fn serve(tls: Option<&HttpTls>, has_metrics: bool) -> Served {
    let (operations, told, log_spec) = operations(has_metrics);
    let serving = operations::serve("127.0.0.1:0", tls, operations, CancellationToken::new());
    Served { address: serving.await.unwrap().address(), told, log_spec }
}

/// A node of four that is well, with something in every figure.
pub fn well() -> Snapshot {
    let time = UNIX_EPOCH + Duration::from_secs(NOW);
    let end = |days: i64| NOW as i64 + days * 86_400;
    Snapshot {
        time,
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - 3_600),
        node: report(),
        channels: vec![channel("mychannel", 42), channel("other", 1)],
        certificates: vec![
            WatchedCertificate { name: "signing".to_owned(), not_after_unix_s: end(300) },
            WatchedCertificate { name: "tls".to_owned(), not_after_unix_s: end(20) },
        ],
        consenter_certificates: vec![ConsenterCertificate {
            channel: "mychannel".to_owned(),
            consenter: 3,
            kind: "server_tls",
            not_after_unix_s: end(-1),
        }],
        disk: Some(DiskSpace { free_bytes: 50 << 30, total_bytes: 100 << 30 }),
        journal_disk: Some(DiskSpace { free_bytes: 5 << 30, total_bytes: 8 << 30 }),
        log: orderer_node::logging::LogCounts::default(),
        process: Some(ProcessFigures { resident_bytes: 300 << 20, open_files: 64 }),
        disk_free_min_bytes: 1 << 30,
    }
}

pub fn channel(name: &str, height: u64) -> ChannelInfo {
    let id = ChannelId::new(name).unwrap();
    ChannelInfo { id, relation: ConsensusRelation::Consenter, status: ChannelStatus::Active, height }
}

fn report() -> NodeReport {
    let served = |name: &str, height| ChannelReport {
        id: name.to_owned(),
        state: "open".to_owned(),
        height,
        certified_height: height - 1,
        tip: None,
        config_sequence: 2,
        damage: None,
    };
    let counters = CountersReport {
        broadcast: [("SUCCESS".to_owned(), 1_000), ("FORBIDDEN".to_owned(), 3)].into(),
        deliver_streams_opened: 9,
        deliver_streams_closed: 4,
        blocks_sent: 500,
        deliver_bytes_in_flight: 0,
        connections_opened: 7,
        connections_closed: 5,
    };
    NodeReport {
        client_side: StatusReport {
            version: "1.2.3".to_owned(),
            complaints: Vec::new(),
            channels: vec![served("mychannel", 42), served("other", 1)],
            counters,
            sections: [].into(),
        },
        traffic: frontend_shim::status::Counters::default().traffic(&frontend_shim::channels::Channels::new().unwrap()),
        groups: vec![group()],
        resting: Vec::new(),
        mesh_door: MeshDoorCounters { strangers: 2, ..MeshDoorCounters::default() },
        frontends: vec![frontend()],
        listeners: vec![ListenerCounters { accepted: 12, ..ListenerCounters::default() }],
        stages: StageReport {
            process_ns: 5_000_000_000,
            stages: vec![StageFigures { stage: "cut".to_owned(), processor_ns: 1_500_000_000, entries: 300 }],
        },
    }
}

fn group() -> GroupReport {
    let member = |replica: u16| MemberReport {
        replica,
        id: u32::from(replica) + 1,
        address: format!("o{}.example.com:7050", replica + 1),
        is_us: replica == 0,
        is_linked: replica != 0 && replica != 3,
        votes: 80,
        vote_delay_us: 80 * 1_500,
    };
    let ordering = OrderingReport {
        group: "0123456789abcdef".to_owned(),
        channels: vec!["mychannel".to_owned(), "other".to_owned()],
        replica: 0,
        replicas: 4,
        members: (0..4).map(member).collect(),
        has_quorum: true,
        regency: 5,
        is_synced: true,
        regency_change: Some(RegencyChangeReport { reason: "the leader was too slow".to_owned(), age_ms: 90_000 }),
        regency_changes: [("slow".to_owned(), 1), ("stalled".to_owned(), 0)].into(),
        leader: 1,
        delivered: 90,
        progress_age_ms: Some(250),
        checkpoint: Some(60),
        stable_checkpoint: Some(60),
        highest_claimed: 91,
        pending_requests: 4,
        pending_bytes: 4_096,
        pending_age_ms: Some(120),
        sessions: 4,
        misbehaviour: vec![MisbehaviourReport { replica: 3, what: "voted \"twice\"".to_owned(), count: 2 }],
        ..OrderingReport::default()
    };
    let peer = |replica: u16| PeerCounters {
        replica,
        address: format!("o{}.example.com:7050", replica + 1),
        connected: replica != 3,
        heard: replica != 3,
        links: 1,
        dials_failed: 6,
        frames_out: 100,
        bytes_out: 10_000,
        frames_in: 99,
        bytes_in: 9_900,
        dropped: 1,
        queued_bytes: 2_048,
        rejects: [("garbage", 1)].into(),
        refused: None,
    };
    GroupReport {
        ordering,
        execution: ApplicationCounts { decisions: 90, envelopes: 1_000, blocks: 43, ..ApplicationCounts::default() },
        mesh: (1..4).map(peer).collect(),
        journal: JournalReport { syncs: 200, sync_total_us: 500_000, sync_last_us: 2_500, ..JournalReport::default() },
        catch_up: CatchUpReport::default(),
    }
}

fn frontend() -> FrontendCounters {
    let node = |replica: u16| NodeCounters {
        replica,
        name: format!("node {} at o{}.example.com:7050", replica + 1, replica + 1),
        connected: replica != 3,
        lagging: replica == 2,
        wrong_headers: u64::from(replica == 3) * 5,
        ..NodeCounters::default()
    };
    FrontendCounters { nodes: (0..4).map(node).collect(), envelopes_held: 1_000, ..FrontendCounters::default() }
}
