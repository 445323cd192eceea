//! Fabric's own orderers under the same load: SmartBFT with four nodes, etcdraft with three.
//!
//! They read the sample `orderer.yaml` of their release, with what must differ between nodes in the environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fabric_proto::ChannelId;
use orderer_node::client::{Endpoint, EnvelopeFactory};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::args::Place;
use super::load::Target;
use super::network::{BLOCK_TIMEOUT_MS, temporary_folder};
use crate::client::broadcast;
use crate::crypto_folder::CryptoFolder;
use crate::fabric::{BlockSigners, FabricNetwork, cryptogen, raft_genesis};
use crate::material::{self, Cutting, ORDERER_MSP_ID};
use crate::ports::free_ports;
use crate::process::{Process, tail};

/// What orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StockKind {
    SmartBft,
    Etcdraft,
}

/// The orderers; they are killed when this is dropped.
pub(super) struct StockOrderers {
    orderers: Vec<Process>,
    target: Target,
    folder: TempDir,
}

/// What one of them is told.
struct Setup<'a> {
    keys: &'a CryptoFolder,
    folder: &'a Path,
    /// Of node 1 for clients and nodes; administrators and operations behind those of all nodes.
    port: u16,
    nodes: u16,
}

impl StockKind {
    pub(super) const fn orderer(self) -> &'static str {
        match self {
            Self::SmartBft => "smartbft",
            Self::Etcdraft => "etcdraft",
        }
    }

    /// Names of the rows: cost, throughput, latency.
    pub(super) const fn rows(self) -> [&'static str; 3] {
        match self {
            Self::SmartBft => ["smartbft-cost", "smartbft-rate", "smartbft-p50"],
            Self::Etcdraft => ["etcdraft-cost", "etcdraft-rate", "etcdraft-p50"],
        }
    }

    pub(super) const fn nodes(self) -> u16 {
        match self {
            Self::SmartBft => 4,
            Self::Etcdraft => 3,
        }
    }

    pub(super) const fn verification(self) -> &'static str {
        match self {
            Self::SmartBft => "client signatures checked by every node",
            Self::Etcdraft => "client signatures checked by the node that is sent to",
        }
    }

    /// SmartBFT cuts by an interval of its own.
    pub(super) const fn block_timeout_ms(self) -> u64 {
        match self {
            Self::SmartBft => BATCH_INTERVAL_MS,
            Self::Etcdraft => BLOCK_TIMEOUT_MS,
        }
    }
}

impl StockOrderers {
    /// Makes keys and a channel, starts the orderers and waits until each of them takes an envelope.
    ///
    /// # Errors
    /// What a program says, or that it takes too long.
    pub(super) async fn start(
        programs: &Path,
        kind: StockKind,
        block_envelopes_max: u32,
        place: &Place,
    ) -> anyhow::Result<Self> {
        let sample = std::env::var_os("FABRIC_CFG_PATH").map(PathBuf::from);
        let sample = sample.context("FABRIC_CFG_PATH does not name the folder of Fabric's sample orderer.yaml")?;
        let folder = temporary_folder(place)?;
        let (nodes, port) = (kind.nodes(), free_ports(3 * kind.nodes())?);
        let keys = cryptogen(programs, folder.path())?;
        let setup = Setup { keys: &keys, folder: folder.path(), port, nodes };
        let genesis = folder.path().join("genesis.block");
        std::fs::write(&genesis, setup.genesis(programs, kind, block_envelopes_max)?)?;
        let mut orderers = Vec::new();
        for id in 1..=nodes {
            let mut command = Command::new(programs.join("orderer"));
            command.env_clear().env("FABRIC_CFG_PATH", &sample).envs(setup.environment(id));
            let log = folder.path().join(format!("o{id}.log"));
            orderers.push(Process::start(&format!("o{id}"), &mut command, &log)?);
        }
        let target = setup.target(&orderers);
        let mut started = Self { orderers, target, folder };
        started.wait_until_serving().await?;
        let setup = Setup { keys: &keys, folder: started.folder.path(), port, nodes };
        for id in 1..=nodes {
            setup.join(&programs.join("osnadmin"), id, &genesis)?;
        }
        started.wait_until_open().await?;
        Ok(started)
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn wait_until_serving(&mut self) -> anyhow::Result<()> {
        let since = Instant::now();
        for orderer in &mut self.orderers {
            while !orderer.log().contains(SERVING) {
                if let Some(status) = orderer.ended()? {
                    bail!("{} has ended: {status}\n{}", orderer.name(), tail(&orderer.log(), LOG_LINES));
                }
                ensure!(
                    since.elapsed() < PATIENCE,
                    "{} does not serve\n{}",
                    orderer.name(),
                    tail(&orderer.log(), LOG_LINES)
                );
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// A leader is elected first, and then known to all.
    async fn wait_until_open(&self) -> anyhow::Result<()> {
        let Target { doors, tls_ca, msp_dir, msp_id, .. } = &self.target;
        let user = EnvelopeFactory::load(ChannelId::new(CHANNEL)?, msp_dir, msp_id)?;
        let since = Instant::now();
        for door in doors {
            let endpoint = Endpoint::tls(door, tls_ca, None)?;
            loop {
                let tried = timeout(ANSWER_PATIENCE, broadcast(&endpoint, [user.transaction_of_size(10)])).await;
                if let Ok(Ok(())) = tried {
                    break;
                }
                ensure!(since.elapsed() < PATIENCE, "{door} takes no envelopes: {tried:?}");
                sleep(POLL).await;
            }
        }
        Ok(())
    }
}

impl Setup<'_> {
    fn genesis(&self, programs: &Path, kind: StockKind, block_envelopes_max: u32) -> anyhow::Result<bytes::Bytes> {
        let timeout = Duration::from_millis(BLOCK_TIMEOUT_MS);
        let cutting = Cutting { message_count_max: block_envelopes_max, timeout, ..Cutting::default() };
        let ids: Vec<u16> = (1..=self.nodes).collect();
        match kind {
            StockKind::SmartBft => {
                let crypto = self.folder.join("crypto");
                let mut profile = material::profile_with(&crypto, CHANNEL, self.port, &cutting, &ids)?;
                profile.options.request_batch_max_interval = Duration::from_millis(BATCH_INTERVAL_MS);
                profile.options.request_forward_timeout = FORWARD_TIMEOUT;
                material::genesis_block(&profile)
            }
            StockKind::Etcdraft => {
                let orderers = ids.iter().map(|id| self.address(*id)).collect();
                let network = FabricNetwork { crypto: self.keys.clone(), orderers, folder: self.folder.to_owned() };
                raft_genesis(programs, &network, CHANNEL, BlockSigners::One, &cutting)
            }
        }
    }

    fn address(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port + id - 1)
    }

    fn admin_address(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port + self.nodes + id - 1)
    }

    fn target(&self, orderers: &[Process]) -> Target {
        let (msp_dir, msp_id) = self.keys.user();
        Target {
            network_file: None,
            doors: (1..=self.nodes).map(|id| self.address(id)).collect(),
            tls_ca: self.keys.tls_authority(),
            msp_dir,
            msp_id: msp_id.to_owned(),
            channels: vec![CHANNEL.to_owned()],
            processes: orderers.iter().map(|orderer| (orderer.name().to_owned(), orderer.id())).collect(),
        }
    }

    fn environment(&self, id: u16) -> Vec<(&'static str, String)> {
        let keys = self.keys.orderer(id.into());
        let key = |name: &str| keys.join(name).display().to_string();
        let data = |name: &str| self.folder.join(format!("o{id}")).join(name).display().to_string();
        let authorities = format!("[{}]", self.keys.tls_authority().display());
        let (certificate, private_key) = (key("tls/server.crt"), key("tls/server.key"));
        let operations = format!("127.0.0.1:{}", self.port + 2 * self.nodes + id - 1);
        vec![
            ("FABRIC_LOGGING_SPEC", "info".to_owned()),
            ("ORDERER_GENERAL_LISTENADDRESS", "127.0.0.1".to_owned()),
            ("ORDERER_GENERAL_LISTENPORT", (self.port + id - 1).to_string()),
            ("ORDERER_GENERAL_LOCALMSPID", ORDERER_MSP_ID.to_owned()),
            ("ORDERER_GENERAL_LOCALMSPDIR", key("msp")),
            ("ORDERER_GENERAL_TLS_ENABLED", "true".to_owned()),
            ("ORDERER_GENERAL_TLS_CERTIFICATE", certificate.clone()),
            ("ORDERER_GENERAL_TLS_PRIVATEKEY", private_key.clone()),
            ("ORDERER_GENERAL_TLS_ROOTCAS", authorities.clone()),
            ("ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE", certificate.clone()),
            ("ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY", private_key.clone()),
            ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none".to_owned()),
            ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true".to_owned()),
            ("ORDERER_FILELEDGER_LOCATION", data("ledger")),
            ("ORDERER_CONSENSUS_WALDIR", data("wal")),
            ("ORDERER_CONSENSUS_SNAPDIR", data("snapshots")),
            ("ORDERER_OPERATIONS_LISTENADDRESS", operations),
            ("ORDERER_METRICS_PROVIDER", "disabled".to_owned()),
            ("ORDERER_ADMIN_LISTENADDRESS", self.admin_address(id)),
            ("ORDERER_ADMIN_TLS_ENABLED", "true".to_owned()),
            ("ORDERER_ADMIN_TLS_CERTIFICATE", certificate),
            ("ORDERER_ADMIN_TLS_PRIVATEKEY", private_key),
            ("ORDERER_ADMIN_TLS_CLIENTAUTHREQUIRED", "true".to_owned()),
            ("ORDERER_ADMIN_TLS_CLIENTROOTCAS", authorities),
        ]
    }

    fn join(&self, osnadmin: &Path, id: u16, genesis: &Path) -> anyhow::Result<()> {
        let tls = self.keys.orderer(id.into()).join("tls");
        let mut command = Command::new(osnadmin);
        command.args(["channel", "join", "--channelID", CHANNEL, "-o", &self.admin_address(id), "--config-block"]);
        command.arg(genesis).arg("--ca-file").arg(tls.join("ca.crt"));
        command.arg("--client-cert").arg(tls.join("server.crt")).arg("--client-key").arg(tls.join("server.key"));
        let output = command.output().context("cannot run osnadmin")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.starts_with("Status: 201"), "osnadmin: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// Where Fabric's sample channel differs from the defaults of its library.
const BATCH_INTERVAL_MS: u64 = 200;
const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
const CHANNEL: &str = "benchchannel";
const SERVING: &str = "Beginning to serve requests";
const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
const LOG_LINES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_share_no_port_and_no_folder() {
        let keys = CryptoFolder::at(Path::new("/keys"));
        let setup = Setup { keys: &keys, folder: Path::new("/work"), port: 100, nodes: 3 };
        let mut seen = std::collections::BTreeSet::new();
        for id in 1..=3 {
            for (name, value) in setup.environment(id) {
                if name.ends_with("LISTENPORT") {
                    assert!(seen.insert(format!("127.0.0.1:{value}")), "{value}");
                } else if name.ends_with("LOCATION") || name.ends_with("DIR") || value.starts_with("127.0.0.1:") {
                    assert!(seen.insert(value.clone()), "{name} {value}");
                }
            }
        }
        assert!(seen.contains("127.0.0.1:108") && !seen.contains("127.0.0.1:109"), "{seen:?}");
    }
}
