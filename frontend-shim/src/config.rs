//! The configuration of a frontend of its own, in two stages: what was written, and what it means.
//!
//! Everything that can be wrong with files is found here, before the first socket opens; the rest of the program holds
//! resolved values only. `configs/frontend.toml` documents every key.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{ChannelConfig, ConfigError};
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use prost::Message as _;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;

use crate::authentication::Authentication;
use crate::group::{GroupError, OrderingGroup, ordering_group_after};
use crate::group_settings::{GroupSettings, SettingKey, SettingsFlaw, WrittenSettings};
use crate::local_msp::{KeyError, LocalMsp};
use crate::tls::TlsError;
use crate::tls_identity::{TlsIdentity, load_certificates};

/// What a frontend of its own is to do.
#[derive(Debug)]
pub struct Settings {
    /// Where the blocks are kept.
    pub data_dir: PathBuf,
    /// Where the status is asked for.
    pub status_socket: Option<PathBuf>,
    /// Whether the process tells what each stage of an envelope's way costs.
    pub stage_times: bool,
    /// Whom the nodes know us as.
    pub identity: TlsIdentity,
    /// What the results of configuration updates are signed with.
    pub msp: Option<LocalMsp>,
    /// How strictly the times in what clients send are taken.
    pub authentication: Authentication,
    /// What the nodes share besides the channels' configurations.
    pub ordering: GroupSettings,
    /// Where clients connect.
    pub listeners: Vec<ListenerSettings>,
    /// The channels, by name.
    pub channels: BTreeMap<ChannelId, ChannelSettings>,
    /// Where nodes are that are not where the channels' configurations say.
    pub addresses: BTreeMap<String, String>,
}

/// One listener.
#[derive(Debug)]
pub enum ListenerSettings {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP, without TLS.
    Plain(SocketAddr),
    /// TCP with TLS.
    Tls {
        /// Where.
        address: SocketAddr,
        /// Our certificate there.
        identity: TlsIdentity,
        /// If client certificates are required: authorities besides those of the channels.
        client_authorities: Option<Vec<CertificateDer<'static>>>,
    },
}

/// One channel.
#[derive(Debug)]
pub struct ChannelSettings {
    /// The genesis block as it was read, byte for byte.
    pub genesis: Bytes,
    /// The configuration in it.
    pub config: ChannelConfig,
    /// Who orders the channel.
    pub group: OrderingGroup,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not the TOML that is documented.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The local MSP.
    #[error(transparent)]
    Msp(#[from] KeyError),
    /// A listener with neither or both of `tcp` and `unix`, or with TLS on a Unix socket.
    #[error("listener {0}: exactly one of `tcp` and `unix` is needed, and `tls` goes with `tcp` only")]
    Listener(usize),
    /// Nobody could connect.
    #[error("there is no [[listen]]")]
    NoListener,
    /// Nothing could be served.
    #[error("there is no [[channel]]")]
    NoChannel,
    /// A genesis file that is not a block.
    #[error("{}: not a block: {source}", path.display())]
    Block {
        /// Which file.
        path: PathBuf,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// A block that no channel begins with.
    #[error("{}: block {number} is not a genesis block, which has number 0", path.display())]
    NotGenesis {
        /// Which file.
        path: PathBuf,
        /// The block's number.
        number: u64,
    },
    /// A genesis block of a channel that cannot be ordered.
    #[error("{}: {source}", path.display())]
    Config {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: Box<ConfigError>,
    },
    /// Consenters that are no ordering group.
    #[error("{}: {source}", path.display())]
    Group {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: GroupError,
    },
    /// Settings of the nodes that contradict themselves.
    #[error("{}: ordering.{key} {source}", path.display())]
    Ordering {
        /// The configuration file.
        path: PathBuf,
        /// The setting.
        key: SettingKey,
        /// What is wrong with it.
        source: SettingsFlaw,
    },
    /// Two genesis blocks for one channel.
    #[error("{}: channel {channel} has a genesis block already", path.display())]
    Twice {
        /// The second file.
        path: PathBuf,
        /// The channel.
        channel: ChannelId,
    },
}

impl Settings {
    /// Reads a configuration file and everything it names.
    ///
    /// # Errors
    /// [`SettingsError`]: what is wrong, and in which file.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable { path: path.into(), source })?;
        let written: Written = toml::from_str(&text)
            .map_err(|source| SettingsError::Syntax { path: path.into(), source: source.into() })?;
        written.resolve(path)
    }
}

/// What was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    data_dir: PathBuf,
    status_socket: Option<PathBuf>,
    #[serde(default = "yes")]
    stage_times: bool,
    identity: WrittenIdentity,
    msp: Option<WrittenMsp>,
    #[serde(default)]
    authentication: WrittenAuthentication,
    #[serde(default)]
    ordering: WrittenSettings,
    #[serde(default)]
    listen: Vec<WrittenListener>,
    #[serde(default)]
    channel: Vec<WrittenChannel>,
    #[serde(default)]
    node: Vec<WrittenNode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenIdentity {
    certificate: PathBuf,
    private_key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMsp {
    dir: PathBuf,
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAuthentication {
    time_window_s: Option<u64>,
    #[serde(default)]
    no_expiration_checks: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenListener {
    tcp: Option<SocketAddr>,
    unix: Option<PathBuf>,
    tls: Option<WrittenTls>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTls {
    certificate: PathBuf,
    private_key: PathBuf,
    #[serde(default)]
    client_certificates: ClientCertificates,
    #[serde(default)]
    client_authorities: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientCertificates {
    #[default]
    Requested,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenChannel {
    genesis: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNode {
    name: String,
    address: String,
}

impl Written {
    fn resolve(self, path: &Path) -> Result<Settings, SettingsError> {
        let base = path.parent().unwrap_or(Path::new(""));
        let flawed = |source: SettingsFlaw| SettingsError::Ordering { path: path.into(), key: source.key(), source };
        let ordering = GroupSettings::try_from(self.ordering).map_err(flawed)?;
        let listeners: Vec<_> =
            (1..).zip(self.listen).map(|(at, listener)| listener.resolve(at, base)).collect::<Result<_, _>>()?;
        if listeners.is_empty() {
            return Err(SettingsError::NoListener);
        }
        let channels = channels(&self.channel, base, &ordering)?;
        let addresses: BTreeMap<_, _> = self.node.into_iter().map(|node| (node.name, node.address)).collect();
        let consenters = || channels.values().flat_map(|channel| channel.group.consenters());
        // A later configuration may name it.
        for name in addresses.keys().filter(|name| consenters().all(|known| known.address() != **name)) {
            tracing::warn!(
                "[[node]] {name:?} is no consenter of any channel at its beginning; they are called host:port, as in the configuration"
            );
        }
        let msp = self.msp.map(|msp| LocalMsp::load(&base.join(msp.dir), &msp.id)).transpose()?;
        Ok(Settings {
            data_dir: base.join(self.data_dir),
            status_socket: self.status_socket.map(|path| base.join(path)),
            stage_times: self.stage_times,
            identity: TlsIdentity::load(&base.join(self.identity.certificate), &base.join(self.identity.private_key))?,
            msp,
            authentication: self.authentication.resolve(),
            ordering,
            listeners,
            channels,
            addresses,
        })
    }
}

impl WrittenAuthentication {
    fn resolve(self) -> Authentication {
        let usual = Authentication::default();
        Authentication {
            time_window: self.time_window_s.map_or(usual.time_window, Duration::from_secs),
            no_expiration_checks: self.no_expiration_checks,
        }
    }
}

impl WrittenListener {
    fn resolve(self, at: usize, base: &Path) -> Result<ListenerSettings, SettingsError> {
        match (self.tcp, self.unix, self.tls) {
            (None, Some(path), None) => Ok(ListenerSettings::Unix(base.join(path))),
            (Some(address), None, None) => Ok(ListenerSettings::Plain(address)),
            (Some(address), None, Some(tls)) => tls.resolve(address, base),
            _ => Err(SettingsError::Listener(at)),
        }
    }
}

impl WrittenTls {
    fn resolve(self, address: SocketAddr, base: &Path) -> Result<ListenerSettings, SettingsError> {
        let identity = TlsIdentity::load(&base.join(self.certificate), &base.join(self.private_key))?;
        let client_authorities = match self.client_certificates {
            ClientCertificates::Requested => None,
            ClientCertificates::Required => {
                let files = self.client_authorities.iter().map(|path| load_certificates(&base.join(path)));
                Some(files.collect::<Result<Vec<_>, _>>()?.concat())
            }
        };
        Ok(ListenerSettings::Tls { address, identity, client_authorities })
    }
}

fn channels(
    written: &[WrittenChannel],
    base: &Path,
    ordering: &GroupSettings,
) -> Result<BTreeMap<ChannelId, ChannelSettings>, SettingsError> {
    let mut channels = BTreeMap::new();
    for channel in written {
        let path = base.join(&channel.genesis);
        let settings = genesis(&path, ordering)?;
        let id = settings.config.channel_id().clone();
        if channels.insert(id.clone(), settings).is_some() {
            return Err(SettingsError::Twice { path, channel: id });
        }
    }
    if channels.is_empty() {
        return Err(SettingsError::NoChannel);
    }
    Ok(channels)
}

fn genesis(path: &Path, ordering: &GroupSettings) -> Result<ChannelSettings, SettingsError> {
    let path = || path.to_owned();
    let bytes = std::fs::read(path()).map_err(|source| SettingsError::Unreadable { path: path(), source })?;
    let genesis = Bytes::from(bytes);
    let block = Block::decode(genesis.clone()).map_err(|source| SettingsError::Block { path: path(), source })?;
    let number = block.header.as_ref().map_or(0, |header| header.number);
    if number != 0 {
        return Err(SettingsError::NotGenesis { path: path(), number });
    }
    let config = ChannelConfig::from_block(&block)
        .map_err(|source| SettingsError::Config { path: path(), source: source.into() })?;
    let group = ordering_group_after(&config, 0, ordering);
    let group = group.map_err(|source| SettingsError::Group { path: path(), source })?;
    Ok(ChannelSettings { genesis, config, group })
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The documented example, with the files it names.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_msp(&dir.path().join("msp"));
        std::fs::create_dir(dir.path().join("tls")).unwrap();
        for name in ["client", "server"] {
            let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            let file = |extension: &str| dir.path().join(format!("tls/{name}.{extension}"));
            std::fs::write(file("crt"), pair.cert.pem()).unwrap();
            std::fs::write(file("key"), pair.signing_key.serialize_pem()).unwrap();
        }
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chain/0.block"), dir.path().join("ch1.block"))
            .unwrap();
        dir
    }

    /// An authority, and a certificate of it with its key.
    fn write_msp(dir: &Path) {
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap().pem();
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let leaf = rcgen::CertificateParams::default().signed_by(&key, &issuer).unwrap().pem();
        for (folder, content) in [("cacerts", root), ("signcerts", leaf), ("keystore", key.serialize_pem())] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
            std::fs::write(dir.join(folder).join("file.pem"), content).unwrap();
        }
    }

    /// Loads the example after a change to its text.
    fn load(from: &str, to: &str) -> Result<Settings, SettingsError> {
        let dir = folder();
        assert!(EXAMPLE.contains(from), "{from}");
        let text = EXAMPLE.replace("orderer1.example.com:7050", "127.0.0.1:7150").replace(from, to);
        std::fs::write(dir.path().join("frontend.toml"), text).unwrap();
        Settings::load(&dir.path().join("frontend.toml"))
    }

    fn error(from: &str, to: &str) -> String {
        load(from, to).unwrap_err().to_string()
    }

    const EXAMPLE: &str = include_str!("../../configs/frontend.toml");

    #[test]
    fn the_documented_example_is_understood() {
        let settings = load("", "").unwrap();
        assert_eq!(settings.msp.unwrap().identity().msp_id(), "OrdererMSP");
        assert!(settings.data_dir.ends_with("data") && settings.data_dir.is_absolute());
        assert!(settings.status_socket.unwrap().ends_with("frontend-status.sock"));
        assert!(settings.stage_times && !load("stage_times = true", "stage_times = false").unwrap().stage_times);
        assert!(matches!(
            &settings.listeners[..],
            [ListenerSettings::Tls { client_authorities: None, .. }, ListenerSettings::Unix(_)]
        ));
        let channel = settings.channels.values().next().unwrap();
        assert_eq!((channel.config.channel_id().as_str(), channel.group.view().n()), ("bftch", 4));
        assert_eq!(settings.addresses["127.0.0.1:7150"], "127.0.0.1:7050");
        assert_eq!(settings.authentication, Authentication::default());
        assert_eq!(settings.ordering, GroupSettings::default(), "the example shows the defaults");
    }

    #[test]
    fn the_nodes_are_taken_for_a_group_of_the_settings_that_are_written() {
        let usual = load("", "").unwrap();
        let wide = load("window = 1", "window = 4").unwrap();
        let group = |settings: &Settings| settings.channels.values().next().unwrap().group.clone();
        assert_eq!((group(&wide).settings().window(), wide.ordering.window()), (4, 4));
        assert_eq!(group(&wide).plain_id(), group(&usual).plain_id());
        assert_ne!(group(&wide).id(), group(&usual).id());
        assert!(error("window = 1", "window = 99").ends_with("frontend.toml: ordering.window must be from 1 to 32"));
        assert!(error("delta = 0", "delta = 1").contains("ordering.heavy is empty, and delta is 1"));
    }

    #[test]
    fn times_are_taken_as_strictly_as_is_written() {
        let settings = load("no_expiration_checks = false", "no_expiration_checks = true").unwrap();
        assert!(settings.authentication.no_expiration_checks);
        let settings = load("time_window_s = 900", "time_window_s = 30").unwrap();
        let narrow = Authentication { time_window: Duration::from_secs(30), ..Authentication::default() };
        assert_eq!(settings.authentication, narrow);
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = error("status_socket", "status_sock");
        assert!(unknown.contains("status_sock") && unknown.contains("`status_socket`"), "{unknown}");
        assert!(error("data_dir = \"data\"", "").contains("data_dir"));
        assert!(error("dir = \"msp\"", "dir = \"tls\"").contains("signcerts"));
        assert!(error("unix = \"frontend.sock\"", "").contains("listener 2"));
        assert!(error("unix = ", "tcp = \"0.0.0.0:1\"\nunix = ").contains("listener 2"));
        assert!(error("tls/server.key", "tls/client.key").contains("does not belong to the certificate"));
        assert!(error("ch1.block", "other.block").contains("other.block"));
        assert!(error("ch1.block", "tls/server.key").contains("server.key: not a block"));
        assert!(error("[[channel]]\ngenesis = \"ch1.block\"", "").contains("no [[channel]]"));
        let twice = "[[channel]]\ngenesis = \"ch1.block\"\n[[channel]]\ngenesis = \"ch1.block\"";
        assert!(error("[[channel]]\ngenesis = \"ch1.block\"", twice).contains("bftch has a genesis block already"));
        assert!(error("\"requested\"", "\"demanded\"").contains("demanded"));
    }

    #[test]
    fn a_node_that_no_first_block_names_may_be_named_later() {
        let dir = folder();
        std::fs::write(dir.path().join("frontend.toml"), EXAMPLE).unwrap();
        let settings = Settings::load(&dir.path().join("frontend.toml")).unwrap();
        assert_eq!(settings.addresses["orderer1.example.com:7050"], "127.0.0.1:7050");
    }
}
