//! The configuration of a node, in two stages: what was written ([`Written`], private), and what it means ([`Resolved`]).
//!
//! This is the form of the `orderer-node` binary, a TOML file. [`crate::orderer_yaml`] reads Fabric's form; both give a
//! [`Resolved`].
//!
//! Everything that can be wrong with the file itself is said before the first socket opens: an unknown key with its line
//! and the nearest known one, a value that cannot be what its key wants, settings that contradict each other. Relative
//! paths are relative to the file. Reading what the paths point at is the business of the modules that use them.

mod contradiction;
mod http;
mod listen_address;
mod ordering;
mod services;
pub(crate) mod unknown_key;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blockcutter::Verification;
use frontend_shim::group_settings::GroupSettings;
use mod_smart::Limits;
use serde::Deserialize;

pub(crate) use self::contradiction::{Contradiction, check_limits, check_sockets};
use self::http::WrittenHttp;
pub use self::listen_address::{ListenAddress, NotAnAddress, ResolveError};
use self::ordering::WrittenOrdering;
pub(crate) use self::services::CERTIFICATE_EXPIRY_WARNING;
pub use self::services::{
    Authentication, GrpcLimits, HttpListener, Keepalive, MetricsProvider, Participation, Statsd, StatsdNetwork,
    Throttling,
};
use crate::journal::Durability;

/// What was configured: every path absolute or relative to the working directory, every address parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where clients, peers and (without `[cluster]`) other nodes connect.
    pub listen_address: ListenAddress,
    /// TLS of that listener; without it the listener speaks gRPC in the clear and nothing else.
    pub tls: Option<TlsFiles>,
    /// A listener of its own for other nodes and frontends.
    pub cluster: Option<ClusterListen>,
    /// The certificate and key shown to nodes that connect to this one: those of the listener for nodes.
    pub mesh_identity: Option<CertificateFiles>,
    /// The certificate and key shown when this node connects to another; there if and only if `mesh_identity` is, and mostly
    /// the same.
    pub mesh_client_identity: Option<CertificateFiles>,
    /// The local MSP folder and its MSP ID.
    pub msp: LocalMspFiles,
    /// Ledgers, checkpoints and, without `journal_dir`, journals live below this folder.
    pub data_dir: PathBuf,
    /// Where journals live instead; a faster disk, for example.
    pub journal_dir: Option<PathBuf>,
    /// Whether the journal waits for the disk.
    pub durability: Durability,
    /// How far the node relies on frontends.
    pub verification: Verification,
    /// Genesis blocks of the channels to join at start.
    pub channels: Vec<PathBuf>,
    /// Where nodes are dialled that are not where the channels' configurations say: the `host:port` there, and the one here.
    pub addresses: BTreeMap<String, String>,
    /// Limits of the protocol. Of what stands in both, [`Resolved::group_settings`] counts.
    pub limits: Limits,
    /// What the members of a group share besides the channels' configurations.
    pub group_settings: GroupSettings,
    /// Unix sockets to serve on.
    pub sockets: Sockets,
    /// Whether this process also runs a frontend: Broadcast and Deliver on its own listener.
    pub embedded_frontend: bool,
    /// Whether the process tells what each stage of an envelope's way costs.
    pub stage_times: bool,
    /// The channel participation API.
    pub admin: Option<HttpListener>,
    /// Health, metrics, the log levels and the version.
    pub operations: Option<HttpListener>,
    /// Who gets the metrics.
    pub metrics: MetricsProvider,
    /// What the channel participation API may do.
    pub participation: Participation,
    /// How requests of clients are authenticated.
    pub authentication: Authentication,
    /// Bounds of the gRPC listener.
    pub grpc: GrpcLimits,
    /// Bounds on how fast clients may send.
    pub throttling: Throttling,
    /// How long before a certificate of this node ends its end is warned of.
    pub certificate_expiry_warning: Duration,
    /// What to log: in the syntax of `tracing-subscriber`'s `EnvFilter` if it comes from TOML, in Fabric's
    /// ([`crate::logging`]) if it comes from `orderer.yaml`.
    pub log: String,
    /// How a line of the log looks, as [`crate::logging`] says; empty for Fabric's own shape.
    pub log_format: String,
}

/// A certificate chain in PEM and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by intermediates if there are any.
    pub certificate: PathBuf,
    /// Its private key, PKCS#8 or SEC 1.
    pub key: PathBuf,
}

/// TLS of the listener for clients (contract 1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// What the server shows.
    pub server: CertificateFiles,
    /// Whether clients must show a certificate that chains to an accepted authority.
    pub client_auth_required: bool,
    /// Authorities accepted besides those of the channels' organisations; PEM files.
    pub client_root_cas: Vec<PathBuf>,
    /// A client's certificate that was good so long ago is accepted too.
    pub time_shift: Duration,
}

/// The separate listener for nodes and frontends. Always TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterListen {
    /// Where it listens.
    pub listen_address: ListenAddress,
}

/// The local MSP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMspFiles {
    /// The folder, laid out as contract 7.2 says.
    pub dir: PathBuf,
    /// Where the private key is looked for; `keystore/` in that folder unless the configuration says otherwise.
    pub keystore: PathBuf,
    /// The MSP ID of the organisation that owns the node.
    pub id: String,
}

/// Unix sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Broadcast and Deliver for programs on the same machine.
    pub broadcast: Option<PathBuf>,
    /// HTTP with `/status` and `/healthz`.
    pub status: Option<PathBuf>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, lacks a key, or has a value of the wrong kind.
    #[error("{path}:{line}: {why}")]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// A key that means nothing.
    #[error("{path}:{line}: unknown key `{key}`{}", unknown_key::hint(nearest.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// The known key that it most resembles, if it resembles one.
        nearest: Option<String>,
    },
    /// A value that cannot be what its key wants, or contradicts another.
    #[error("{path}: {key}: {why}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with its section.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Reading of configuration files.
#[derive(Debug)]
pub struct Config;

impl Config {
    /// Reads a file and resolves what it says.
    ///
    /// # Errors
    /// See [`ConfigError`]; the text names the file and, where there is one, the line.
    pub fn load(path: &Path) -> Result<Resolved, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Resolves the text of a file that lies, or would lie, at `path`.
    ///
    /// # Errors
    /// As [`Config::load`], except for the reading.
    pub fn parse(text: &str, path: &Path) -> Result<Resolved, ConfigError> {
        let written: Written = toml::from_str(text).map_err(|error| explain(&error, text, path))?;
        written.resolve(path)
    }
}

/// What was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen_address: String,
    data_dir: PathBuf,
    #[serde(default)]
    durability: WrittenDurability,
    #[serde(default)]
    verification: WrittenVerification,
    #[serde(default)]
    channels: Vec<PathBuf>,
    #[serde(default = "yes")]
    embedded_frontend: bool,
    #[serde(default = "yes")]
    stage_times: bool,
    #[serde(default = "default_log")]
    log: String,
    msp: WrittenMsp,
    tls: Option<WrittenTls>,
    cluster: Option<WrittenCluster>,
    #[serde(default)]
    ordering: WrittenOrdering,
    #[serde(default)]
    sockets: WrittenSockets,
    admin: Option<WrittenHttp>,
    operations: Option<WrittenHttp>,
    #[serde(default)]
    metrics: WrittenMetrics,
    #[serde(default)]
    node: Vec<WrittenNode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNode {
    name: String,
    address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenMetrics {
    #[default]
    Disabled,
    Prometheus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenDurability {
    #[default]
    Full,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenVerification {
    #[default]
    Full,
    Frontends,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMsp {
    dir: PathBuf,
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTls {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default)]
    client_auth_required: bool,
    #[serde(default)]
    client_root_cas: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCluster {
    listen_address: Option<String>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSockets {
    broadcast: Option<PathBuf>,
    status: Option<PathBuf>,
}

impl Written {
    fn resolve(self, path: &Path) -> Result<Resolved, ConfigError> {
        let place = Place { path };
        let listen_address = place.address("listen_address", &self.listen_address)?;
        let tls = self.tls.map(|tls| tls.resolve(&place));
        let (cluster, cluster_identity) = match self.cluster {
            None => (None, None),
            Some(cluster) => cluster.resolve(&place, &listen_address)?,
        };
        let mesh_identity = cluster_identity.or_else(|| tls.as_ref().map(|tls| tls.server.clone()));
        if cluster.is_some() && mesh_identity.is_none() {
            return Err(
                place.wrong("cluster", "needs `certificate` and `key`, because there is no [tls] to take them from")
            );
        }
        if self.msp.id.is_empty() {
            return Err(place.wrong("msp.id", "is empty"));
        }
        let sockets = Sockets {
            broadcast: self.sockets.broadcast.map(|socket| place.file(socket)),
            status: self.sockets.status.map(|socket| place.file(socket)),
        };
        place.consistent(check_sockets(&sockets, self.embedded_frontend))?;
        let msp_dir = place.file(self.msp.dir);
        Ok(Resolved {
            listen_address,
            tls,
            cluster,
            mesh_client_identity: mesh_identity.clone(),
            mesh_identity,
            msp: LocalMspFiles { keystore: msp_dir.join("keystore"), dir: msp_dir, id: self.msp.id },
            data_dir: place.file(self.data_dir),
            journal_dir: None,
            durability: match self.durability {
                WrittenDurability::Full => Durability::Full,
                WrittenDurability::None => Durability::None,
            },
            verification: match self.verification {
                WrittenVerification::Full => Verification::Full,
                WrittenVerification::Frontends => Verification::Frontends,
            },
            channels: self.channels.into_iter().map(|block| place.file(block)).collect(),
            addresses: self.node.into_iter().map(|node| (node.name, node.address)).collect(),
            limits: self.ordering.limits(&place)?,
            group_settings: self.ordering.settings(&place)?,
            sockets,
            embedded_frontend: self.embedded_frontend,
            stage_times: self.stage_times,
            admin: self.admin.map(|admin| admin.resolve(&place, "admin")).transpose()?,
            operations: self.operations.map(|operations| operations.resolve(&place, "operations")).transpose()?,
            metrics: match self.metrics {
                WrittenMetrics::Disabled => MetricsProvider::Disabled,
                WrittenMetrics::Prometheus => MetricsProvider::Prometheus,
            },
            participation: Participation::default(),
            authentication: Authentication::default(),
            grpc: GrpcLimits::default(),
            throttling: Throttling::default(),
            certificate_expiry_warning: CERTIFICATE_EXPIRY_WARNING,
            log: self.log,
            log_format: String::new(),
        })
    }
}

impl WrittenTls {
    fn resolve(self, place: &Place<'_>) -> TlsFiles {
        TlsFiles {
            server: CertificateFiles { certificate: place.file(self.certificate), key: place.file(self.key) },
            client_auth_required: self.client_auth_required,
            client_root_cas: self.client_root_cas.into_iter().map(|file| place.file(file)).collect(),
            time_shift: Duration::ZERO,
        }
    }
}

impl WrittenCluster {
    fn resolve(
        self,
        place: &Place<'_>,
        main_address: &ListenAddress,
    ) -> Result<(Option<ClusterListen>, Option<CertificateFiles>), ConfigError> {
        let listen_address = match &self.listen_address {
            None => None,
            Some(text) => Some(place.address("cluster.listen_address", text)?),
        };
        if listen_address.as_ref() == Some(main_address) && main_address.port() != 0 {
            return Err(place.wrong("cluster.listen_address", "is the same address as listen_address"));
        }
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some(CertificateFiles { certificate: place.file(certificate), key: place.file(key) })
            }
            (Some(_), None) => return Err(place.wrong("cluster.key", "is missing, `certificate` is there")),
            (None, Some(_)) => return Err(place.wrong("cluster.certificate", "is missing, `key` is there")),
        };
        Ok((listen_address.map(|listen_address| ClusterListen { listen_address }), identity))
    }
}

/// Where the file lies, for relative paths and for errors.
struct Place<'a> {
    path: &'a Path,
}

impl Place<'_> {
    fn file(&self, written: PathBuf) -> PathBuf {
        // An absolute path replaces the folder when joined.
        self.path.parent().map_or(written.clone(), |folder| folder.join(written))
    }

    fn address(&self, key: &'static str, text: &str) -> Result<ListenAddress, ConfigError> {
        text.parse().map_err(|error: NotAnAddress| self.wrong(key, format!("{text:?} {error}")))
    }

    /// Names the key at fault as this form of the configuration calls it.
    fn consistent(&self, checked: Result<(), Contradiction>) -> Result<(), ConfigError> {
        checked.map_err(|contradiction| {
            let key = match contradiction {
                Contradiction::RequestTimeout => "ordering.request_timeout_ms",
                Contradiction::RequestTimeoutMax => "ordering.request_timeout_max_ms",
                Contradiction::CheckpointInterval => "ordering.checkpoint_interval",
                Contradiction::BatchRequestsMax => "ordering.batch_requests_max",
                Contradiction::SameSocket => "sockets.status",
                Contradiction::SocketWithoutFrontend => "sockets.broadcast",
            };
            self.wrong(key, contradiction.to_string())
        })
    }

    fn wrong(&self, key: &'static str, why: impl Into<String>) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), key, why: why.into() }
    }
}

fn explain(error: &toml::de::Error, text: &str, path: &Path) -> ConfigError {
    let path = path.to_owned();
    let offset = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count();
    match unknown_key::find(error.message()) {
        Some((key, nearest)) => ConfigError::UnknownKey { path, line, key, nearest },
        None => ConfigError::Form { path, line, why: error.message().to_owned() },
    }
}

const fn yes() -> bool {
    true
}

fn default_log() -> String {
    "info".to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
