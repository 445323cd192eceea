//! What the endpoint tells from: the node's report, its channels, its certificates, its disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fabric_channel::{Certificate, CertificateError};
use fabric_proto::ChannelId;
use serde::{Deserialize, Serialize};

use crate::logging::LogCounts;
use crate::participation::{ChannelInfo, ChannelStatus, ConsensusRelation, Registrar};
use crate::status::{NodeReport, NodeStatus};

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When.
    pub time: SystemTime,
    /// When the node started.
    pub started: SystemTime,
    /// What it tells about itself.
    pub node: NodeReport,
    /// What its channels are to it. Labels of channels come from here and from the report only, never from clients.
    pub channels: Vec<ChannelInfo>,
    /// Its own certificates.
    pub certificates: Vec<WatchedCertificate>,
    /// Those of the consenters of its channels.
    pub consenter_certificates: Vec<ConsenterCertificate>,
    /// The disk with its data folder, if the system tells.
    pub disk: Option<DiskSpace>,
    /// The disk with its journals, if it is another one.
    pub journal_disk: Option<DiskSpace>,
    /// What the process takes of the machine, if the system tells.
    pub process: Option<ProcessFigures>,
    /// What its log has come to.
    pub log: LogCounts,
    /// The node is not ready with less than so many bytes free.
    pub disk_free_min_bytes: u64,
}

/// A certificate whose end matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WatchedCertificate {
    /// What it is for: `signing`, `tls`, `cluster`, `operations`, `admin`.
    pub name: String,
    /// When it ends, in seconds since 1970.
    pub not_after_unix_s: i64,
}

/// A certificate in the configuration of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsenterCertificate {
    /// The channel.
    pub channel: String,
    /// The consenter's id.
    pub consenter: u32,
    /// `identity`, `client_tls` or `server_tls`.
    pub kind: &'static str,
    /// When it ends, in seconds since 1970.
    pub not_after_unix_s: i64,
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// What a process takes of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessFigures {
    /// Bytes of memory in use.
    pub resident_bytes: u64,
    /// Files and sockets open.
    pub open_files: u64,
}

impl ProcessFigures {
    /// This process, as Linux tells it.
    #[must_use]
    pub fn own() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = resident.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(Self { resident_bytes: kib * 1024, open_files })
    }
}

/// Whoever can be asked for snapshots.
pub trait Observed: Send + Sync + 'static {
    /// How it is now.
    fn snapshot(&self) -> Snapshot;
}

/// What is around a node and matters to its operator.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Ledgers lie below this folder.
    pub data_dir: PathBuf,
    /// Journals lie below this one, if not below the other.
    pub journal_dir: Option<PathBuf>,
    /// See [`Snapshot::disk_free_min_bytes`].
    pub disk_free_min_bytes: u64,
    /// The node's certificates.
    pub certificates: Vec<WatchedCertificate>,
}

/// A running node.
pub struct NodeObserver {
    status: Arc<NodeStatus>,
    registrar: Option<Arc<dyn Registrar>>,
    surroundings: Surroundings,
    started: SystemTime,
}

impl WatchedCertificate {
    /// Watches a certificate, given in DER.
    ///
    /// # Errors
    /// It does not parse.
    pub fn new(name: &str, der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_der(der)?;
        Ok(Self { name: name.to_owned(), not_after_unix_s: certificate.not_after_unix_s() })
    }
}

impl Surroundings {
    /// Bytes free below which a node is not ready, unless the configuration says something else.
    pub const DISK_FREE_MIN_BYTES: u64 = 1 << 30;

    fn disk(&self) -> Option<DiskSpace> {
        Self::room(&self.data_dir)
    }

    /// The folder of the journals is made with the first channel.
    fn journal_disk(&self) -> Option<DiskSpace> {
        let journal_dir = self.journal_dir.as_ref()?;
        let device = |path: &Path| Some(std::fs::metadata(path).ok()?.dev());
        let is_another = device(journal_dir)? != device(&self.data_dir)?;
        if is_another { Self::room(journal_dir) } else { None }
    }

    fn room(dir: &Path) -> Option<DiskSpace> {
        let found = nix::sys::statvfs::statvfs(dir).ok()?;
        let fragment = found.fragment_size();
        let bytes = |blocks: u64| blocks.saturating_mul(fragment);
        Some(DiskSpace { free_bytes: bytes(found.blocks_available()), total_bytes: bytes(found.blocks()) })
    }
}

impl NodeObserver {
    /// Observes a node from now on. Without a registrar every channel that is served counts as one that the node is an active
    /// consenter of.
    #[must_use]
    pub fn new(status: Arc<NodeStatus>, registrar: Option<Arc<dyn Registrar>>, surroundings: Surroundings) -> Self {
        Self { status, registrar, surroundings, started: SystemTime::now() }
    }

    fn channels(&self, node: &NodeReport) -> Vec<ChannelInfo> {
        match &self.registrar {
            Some(registrar) => registrar.list().iter().filter_map(|id| registrar.info(id)).collect(),
            None => {
                let served = node.client_side.channels.iter();
                let info = |(id, height)| ChannelInfo {
                    id,
                    relation: ConsensusRelation::Consenter,
                    status: ChannelStatus::Active,
                    height,
                };
                served.filter_map(|it| Some((ChannelId::new(&it.id).ok()?, it.height))).map(info).collect()
            }
        }
    }

    fn consenter_certificates(&self) -> Vec<ConsenterCertificate> {
        let mut found = Vec::new();
        for channel in self.status.channels.list() {
            for consenter in channel.config().consenters() {
                let mut add = |kind, certificate: &Certificate| {
                    let not_after_unix_s = certificate.not_after_unix_s();
                    let channel = channel.id().to_string();
                    found.push(ConsenterCertificate { channel, consenter: consenter.id, kind, not_after_unix_s });
                };
                if let Some(identity) = &consenter.identity {
                    add("identity", &identity.certificate);
                }
                add("client_tls", &consenter.client_tls_cert);
                add("server_tls", &consenter.server_tls_cert);
            }
        }
        found
    }
}

impl Observed for NodeObserver {
    fn snapshot(&self) -> Snapshot {
        let node = self.status.node_report();
        Snapshot {
            time: SystemTime::now(),
            started: self.started,
            channels: self.channels(&node),
            consenter_certificates: self.consenter_certificates(),
            node,
            certificates: self.surroundings.certificates.clone(),
            disk: self.surroundings.disk(),
            journal_disk: self.surroundings.journal_disk(),
            process: ProcessFigures::own(),
            // Whoever has the log adds them.
            log: LogCounts::default(),
            disk_free_min_bytes: self.surroundings.disk_free_min_bytes,
        }
    }
}

impl Snapshot {
    /// Seconds from now until a certificate ends; negative if it has.
    #[must_use]
    pub fn seconds_until(&self, not_after_unix_s: i64) -> i64 {
        let now = self.time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        not_after_unix_s.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_this_process_takes_and_what_the_disk_has() {
        assert!(ProcessFigures::own().is_some_and(|own| own.resident_bytes > 1 << 20 && own.open_files > 2));
        let certificates = Vec::new();
        let here = Surroundings { data_dir: ".".into(), journal_dir: None, disk_free_min_bytes: 0, certificates };
        assert!(here.disk().is_some_and(|disk| disk.total_bytes > disk.free_bytes && disk.total_bytes > 1 << 20));
        let journal_at = |dir: &str| Surroundings { journal_dir: Some(dir.into()), ..here.clone() }.journal_disk();
        assert_eq!((here.journal_disk(), journal_at("."), journal_at("no such folder")), (None, None, None));
        assert!(journal_at("/proc").is_some(), "another file system");
        let nowhere = Surroundings { data_dir: "no such folder".into(), ..here };
        assert_eq!(nowhere.disk(), None);
    }
}
