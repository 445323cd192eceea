//! The configuration file of the `orderer-node` binary, in two stages: what was written ([`Written`], private), and what
//! it means ([`Resolved`]).
//!
//! Everything that can be wrong with the file itself is said before the first socket opens: an unknown key with its line
//! and the nearest known one, a value that cannot be what its key wants, settings that contradict each other. Relative
//! paths are relative to the file. Reading what the paths point at is the business of the modules that use them. The
//! settings take the place of those of Fabric's `orderer.yaml` (contract 7.1) that concern one node.

mod ordering;
mod unknown_key;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use blockcutter::Verification;
use mod_smart::Limits;
use serde::Deserialize;

use crate::journal::Durability;
use ordering::WrittenOrdering;

/// What the file means: every path absolute or relative to the working directory, every address parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where clients, peers and (without `[cluster]`) other nodes connect.
    pub listen_address: SocketAddr,
    /// TLS of that listener; without it the listener speaks gRPC in the clear and nothing else.
    pub tls: Option<TlsFiles>,
    /// A listener of its own for other nodes and frontends.
    pub cluster: Option<ClusterListen>,
    /// The certificate and key shown to other nodes, as server and as client: those of `[cluster]`, else of `[tls]`.
    pub mesh_identity: Option<CertificateFiles>,
    /// The local MSP folder and its MSP ID.
    pub msp: LocalMspFiles,
    /// Journal, ledgers and checkpoints live below this folder.
    pub data_dir: PathBuf,
    /// Whether the journal waits for the disk.
    pub durability: Durability,
    /// How far the node relies on frontends.
    pub verification: Verification,
    /// Genesis blocks of the channels to join at start.
    pub channels: Vec<PathBuf>,
    /// Limits of the protocol.
    pub limits: Limits,
    /// Unix sockets to serve on.
    pub sockets: Sockets,
    /// Whether this process also runs a frontend: Broadcast and Deliver on its own listener.
    pub embedded_frontend: bool,
    /// What to log, in the syntax of `tracing-subscriber`'s `EnvFilter`.
    pub log: String,
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
}

/// The separate listener for nodes and frontends. Always TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterListen {
    /// Where it listens.
    pub listen_address: SocketAddr,
}

/// The local MSP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMspFiles {
    /// The folder, laid out as contract 7.2 says.
    pub dir: PathBuf,
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
    #[serde(default = "default_log")]
    log: String,
    msp: WrittenMsp,
    tls: Option<WrittenTls>,
    cluster: Option<WrittenCluster>,
    #[serde(default)]
    ordering: WrittenOrdering,
    #[serde(default)]
    sockets: WrittenSockets,
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
            Some(cluster) => cluster.resolve(&place, listen_address)?,
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
        if sockets.broadcast.is_some() && sockets.broadcast == sockets.status {
            return Err(place.wrong("sockets.status", "is the same socket as sockets.broadcast"));
        }
        if sockets.broadcast.is_some() && !self.embedded_frontend {
            return Err(place.wrong("sockets.broadcast", "is served by the embedded frontend, which is switched off"));
        }
        Ok(Resolved {
            listen_address,
            tls,
            cluster,
            mesh_identity,
            msp: LocalMspFiles { dir: place.file(self.msp.dir), id: self.msp.id },
            data_dir: place.file(self.data_dir),
            durability: match self.durability {
                WrittenDurability::Full => Durability::Full,
                WrittenDurability::None => Durability::None,
            },
            verification: match self.verification {
                WrittenVerification::Full => Verification::Full,
                WrittenVerification::Frontends => Verification::Frontends,
            },
            channels: self.channels.into_iter().map(|block| place.file(block)).collect(),
            limits: self.ordering.resolve(&place)?,
            sockets,
            embedded_frontend: self.embedded_frontend,
            log: self.log,
        })
    }
}

impl WrittenTls {
    fn resolve(self, place: &Place<'_>) -> TlsFiles {
        TlsFiles {
            server: CertificateFiles { certificate: place.file(self.certificate), key: place.file(self.key) },
            client_auth_required: self.client_auth_required,
            client_root_cas: self.client_root_cas.into_iter().map(|file| place.file(file)).collect(),
        }
    }
}

impl WrittenCluster {
    fn resolve(
        self,
        place: &Place<'_>,
        main_address: SocketAddr,
    ) -> Result<(Option<ClusterListen>, Option<CertificateFiles>), ConfigError> {
        let listen_address = match &self.listen_address {
            None => None,
            Some(text) => Some(place.address("cluster.listen_address", text)?),
        };
        if listen_address == Some(main_address) && main_address.port() != 0 {
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

    fn address(&self, key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
        text.parse()
            .map_err(|_| self.wrong(key, format!("{text:?} is not an IP address with a port, as in 0.0.0.0:7050")))
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
mod tests {
    use super::*;

    const MINIMAL: &str =
        "listen_address = \"127.0.0.1:7050\"\ndata_dir = \"data\"\n[msp]\ndir = \"/etc/msp\"\nid = \"OrdererMSP\"\n";

    fn parse(text: &str) -> Result<Resolved, ConfigError> {
        Config::parse(text, Path::new("/srv/node/node.toml"))
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_documented_sample_loads() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/node.toml");
        let resolved = Config::load(&path).unwrap();
        assert!(resolved.tls.is_some());
        assert_eq!((resolved.durability, resolved.verification), (Durability::Full, Verification::Full));
        assert!(resolved.embedded_frontend);
        assert_eq!(resolved.limits, Limits::default(), "the sample shows the defaults");
    }

    #[test]
    fn defaults_are_filled_in_and_paths_are_relative_to_the_file() {
        let resolved = parse(MINIMAL).unwrap();
        assert_eq!(resolved.data_dir, Path::new("/srv/node/data"));
        assert_eq!(resolved.msp.dir, Path::new("/etc/msp"), "an absolute path stays");
        assert_eq!((resolved.durability, resolved.log.as_str()), (Durability::Full, "info"));
        assert_eq!((resolved.tls, resolved.mesh_identity, resolved.cluster), (None, None, None));
        assert_eq!(resolved.sockets, Sockets::default());
        assert_eq!(resolved.limits, Limits::default());
    }

    #[test]
    fn frontends_are_relied_on_only_if_the_configuration_says_so() {
        assert_eq!(parse(MINIMAL).unwrap().verification, Verification::Full);
        let text = format!("verification = \"frontends\"\n{MINIMAL}");
        assert_eq!(parse(&text).unwrap().verification, Verification::Frontends);
    }

    #[test]
    fn limits_of_the_protocol_are_set_one_by_one() {
        let text = "[ordering]\nrequest_timeout_ms = 12000\ncheckpoint_interval = 7\nbatch_requests_max = 9\n";
        let limits = parse(&format!("{MINIMAL}{text}")).unwrap().limits;
        assert_eq!((limits.request_timeout.as_secs(), limits.request_timeout_max.as_secs()), (12, 12));
        assert_eq!((limits.checkpoint_interval, limits.batch_requests_max), (7, 9));
        assert_eq!(limits.status_interval, Limits::default().status_interval);
    }

    #[test]
    fn the_mesh_shows_the_certificate_of_the_cluster_section_if_there_is_one() {
        let tls = format!("{MINIMAL}[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n");
        assert_eq!(parse(&tls).unwrap().mesh_identity.unwrap().certificate, Path::new("/srv/node/a.crt"));
        let both =
            format!("{tls}[cluster]\nlisten_address = \"127.0.0.1:7060\"\ncertificate = \"b.crt\"\nkey = \"b.key\"\n");
        let resolved = parse(&both).unwrap();
        assert_eq!(resolved.mesh_identity.unwrap().key, Path::new("/srv/node/b.key"));
        assert_eq!(resolved.tls.unwrap().server.key, Path::new("/srv/node/a.key"));
        assert_eq!(resolved.cluster.unwrap().listen_address.port(), 7060);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        let error = refusal(&MINIMAL.replace("data_dir", "datadir"));
        assert_eq!(error, "/srv/node/node.toml:2: unknown key `datadir`; did you mean `data_dir`?");
        let error = refusal(&format!("{MINIMAL}[tls]\ncertificat = \"a\"\nkey = \"b\"\n"));
        assert_eq!(error, "/srv/node/node.toml:7: unknown key `certificat`; did you mean `certificate`?");
        let error = refusal(&format!("{MINIMAL}[sockets]\nstatsu = \"a\"\n"));
        assert_eq!(error, "/srv/node/node.toml:7: unknown key `statsu`; did you mean `status`?");
        let error = refusal(&format!("zzz = 1\n{MINIMAL}"));
        assert_eq!(error, "/srv/node/node.toml:1: unknown key `zzz`");
    }

    #[test]
    fn wrong_values_and_contradictions_are_refused_with_their_key() {
        let cases = [
            (
                MINIMAL.replace("127.0.0.1:7050", "localhost"),
                "listen_address: \"localhost\" is not an IP address with a port",
            ),
            (MINIMAL.replace("OrdererMSP", ""), "msp.id: is empty"),
            (
                format!("{MINIMAL}[cluster]\nlisten_address = \"127.0.0.1:7060\"\n"),
                "cluster: needs `certificate` and `key`",
            ),
            (format!("{MINIMAL}[cluster]\nkey = \"k\"\n"), "cluster.certificate: is missing"),
            (format!("{MINIMAL}[cluster]\ncertificate = \"k\"\n"), "cluster.key: is missing"),
            (
                format!("{MINIMAL}[cluster]\nlisten_address = \"127.0.0.1:7050\"\n"),
                "the same address as listen_address",
            ),
            (format!("{MINIMAL}[sockets]\nstatus = \"s\"\nbroadcast = \"s\"\n"), "sockets.status: is the same socket"),
            (format!("embedded_frontend = false\n{MINIMAL}[sockets]\nbroadcast = \"s\"\n"), "switched off"),
            (
                format!("{MINIMAL}[ordering]\nrequest_timeout_ms = 0\n"),
                "ordering.request_timeout_ms: must be at least 1",
            ),
            (format!("{MINIMAL}[ordering]\nrequest_timeout_max_ms = 399\n"), "is less than the request timeout"),
            (
                format!("{MINIMAL}[ordering]\ncheckpoint_interval = 0\n"),
                "ordering.checkpoint_interval: must be at least 1",
            ),
            (format!("{MINIMAL}[ordering]\nbatch_requests_max = 4097\n"), "must be from 1 to 4096"),
            (format!("durability = \"some\"\n{MINIMAL}"), "node.toml:1: unknown variant `some`"),
            (format!("channels = \"a.block\"\n{MINIMAL}"), "node.toml:1: invalid type"),
            (MINIMAL.replace("data_dir = \"data\"\n", ""), "missing field `data_dir`"),
            (MINIMAL.replace("= \"data\"", ""), "node.toml:2:"),
        ];
        for (text, expected) in cases {
            let error = refusal(&text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Config::load(Path::new("/nowhere/node.toml")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read configuration /nowhere/node.toml: "), "{error}");
    }
}
