//! From settings to what they mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use blockcutter::Verification;
use frontend_shim::group_settings::{FaultModel, GroupSettings, SettingKey, WrittenSettings};
use mod_smart::Limits;

use super::cluster::{Cluster, cluster, tls};
use super::environment::Environment;
use super::error::{OrdererYamlError, Origin};
use super::notice::Notice;
use super::settings::Settings;
use crate::config::{
    Authentication, CERTIFICATE_EXPIRY_WARNING, GrpcLimits, HttpListener, Keepalive, ListenAddress, LocalMspFiles,
    MetricsProvider, Participation, Resolved, Sockets, Statsd, StatsdNetwork, Throttling, check_limits, check_sockets,
};
use crate::journal::Durability;

type Resolving<T> = Result<T, OrdererYamlError>;

/// Resolves settings; adds to the notices what is settled differently from what was written.
pub(super) fn resolve(
    settings: &Settings,
    environment: &Environment,
    notices: &mut Vec<Notice>,
) -> Resolving<Resolved> {
    refuse_system_channel(settings)?;
    let host = settings.text("General.ListenAddress")?.unwrap_or(DEFAULT_HOST);
    let port = settings.port("General.ListenPort")?.unwrap_or(DEFAULT_PORT);
    let listen_address = settings.host_and_port("General.ListenAddress", host, port)?;
    let general_tls = tls(settings, "General")?;
    let Cluster { listen, server, client } = cluster(settings, &listen_address, general_tls.as_ref())?;
    let data_dir = settings.file("FileLedger.Location")?.unwrap_or_else(|| PathBuf::from(DEFAULT_LEDGER));
    let embedded_frontend = settings.flag("BFT.EmbeddedFrontend", true)?;
    let sockets =
        Sockets { broadcast: settings.file("BFT.Sockets.Broadcast")?, status: settings.file("BFT.Sockets.Status")? };
    settings.consistent(check_sockets(&sockets, embedded_frontend))?;
    Ok(Resolved {
        listen_address,
        tls: general_tls,
        cluster: listen,
        mesh_identity: Some(server),
        mesh_client_identity: Some(client),
        msp: msp(settings)?,
        journal_dir: journal_dir(settings, &data_dir, notices)?,
        data_dir,
        durability: settings
            .choice("BFT.Durability", &[("full", Durability::Full), ("none", Durability::None)])?
            .unwrap_or(Durability::Full),
        verification: settings
            .choice("BFT.Verification", &[("full", Verification::Full), ("frontends", Verification::Frontends)])?
            .unwrap_or(Verification::Full),
        channels: settings.files("BFT.Channels")?,
        addresses: BTreeMap::new(),
        limits: limits(settings)?,
        group_settings: group_settings(settings)?,
        sockets,
        embedded_frontend,
        stage_times: settings.flag("BFT.StageTimes", true)?,
        admin: admin(settings, notices)?,
        operations: http_listener(settings, "Operations")?,
        metrics: metrics(settings, notices)?,
        participation: participation(settings, notices)?,
        authentication: authentication(settings)?,
        grpc: grpc(settings)?,
        throttling: throttling(settings)?,
        certificate_expiry_warning: settings
            .duration("General.Cluster.CertExpirationWarningThreshold", CERTIFICATE_EXPIRY_WARNING)?,
        log: environment.value("FABRIC_LOGGING_SPEC").unwrap_or("info").to_owned(),
        log_format: environment.value("FABRIC_LOGGING_FORMAT").unwrap_or_default().to_owned(),
    })
}

/// A node that begins with a system channel is of the time before v2.3. Fabric v3 refuses it too.
fn refuse_system_channel(settings: &Settings) -> Resolving<()> {
    let key = ["General.BootstrapMethod", "General.GenesisMethod"].into_iter().find(|key| settings.is_set(key));
    let Some(key) = key else { return Ok(()) };
    match settings.text(key)? {
        Some(method) if !method.eq_ignore_ascii_case("none") => Err(settings.wrong(
            key,
            format!(
                "= {method:?} asks for a system channel, which is not supported: set General.BootstrapMethod to none (or \
                 ORDERER_GENERAL_BOOTSTRAPMETHOD=none), and join each channel with `osnadmin channel join`"
            ),
        )),
        _ => Ok(()),
    }
}

fn msp(settings: &Settings) -> Resolving<LocalMspFiles> {
    refuse_other_cryptography(settings)?;
    let dir = settings.file("General.LocalMSPDir")?.unwrap_or_else(|| settings.beside("msp"));
    let keystore = settings.file("General.BCCSP.SW.FileKeyStore.KeyStore")?.unwrap_or_else(|| dir.join("keystore"));
    let id = settings.text("General.LocalMSPID")?.unwrap_or("SampleOrg").to_owned();
    Ok(LocalMspFiles { dir, keystore, id })
}

/// Keys in files, ECDSA over P-256 and SHA-256: the rest of Fabric's choices cannot be honoured, so they are not accepted.
fn refuse_other_cryptography(settings: &Settings) -> Resolving<()> {
    let key = "General.BCCSP.Default";
    match settings.text(key)? {
        Some(provider) if provider.eq_ignore_ascii_case("PKCS11") => Err(settings.wrong(
            key,
            "= PKCS11 is not supported: this node signs with a key in a file; set SW, and put the key into the keystore \
             folder of the local MSP",
        )),
        Some(provider) if !provider.eq_ignore_ascii_case("SW") => {
            Err(settings.wrong(key, format!("= {provider:?} is not a provider of cryptography; SW is")))
        }
        _ => {
            settings.choice("General.BCCSP.SW.Hash", &[("SHA2", ())])?;
            settings.choice("General.BCCSP.SW.Security", &[("256", ())])?;
            Ok(())
        }
    }
}

/// Where journals live: where Fabric's write-ahead log does. The value of Fabric's sample file says nothing when the ledger
/// was moved elsewhere by a deployer who knows of one volume only.
fn journal_dir(settings: &Settings, data_dir: &Path, notices: &mut Vec<Notice>) -> Resolving<Option<PathBuf>> {
    let key = "Consensus.WALDir";
    let Some(dir) = settings.file(key)? else { return Ok(None) };
    let is_left_from_the_sample = dir == Path::new(SAMPLE_WAL)
        && matches!(settings.origin(key), Origin::Line(..))
        && data_dir != Path::new(DEFAULT_LEDGER);
    if is_left_from_the_sample {
        let text = format!(
            "{key} has the value of Fabric's sample file, but FileLedger.Location does not: journals are kept in {}",
            data_dir.display()
        );
        notices.push(Notice::information(text));
        return Ok(None);
    }
    Ok(Some(dir))
}

fn limits(settings: &Settings) -> Resolving<Limits> {
    let mut limits = Limits::default();
    limits.request_timeout = settings.duration("BFT.Ordering.RequestTimeout", limits.request_timeout)?;
    let max = limits.request_timeout_max.max(limits.request_timeout);
    limits.request_timeout_max = settings.duration("BFT.Ordering.RequestTimeoutMax", max)?;
    limits.decision_time = settings.duration("BFT.Ordering.DecisionTime", limits.decision_time)?;
    if let Some(interval) = settings.number("BFT.Ordering.CheckpointInterval")? {
        limits.checkpoint_interval = interval;
    }
    if let Some(requests) = settings.number("BFT.Ordering.BatchRequestsMax")? {
        limits.batch_requests_max = requests;
    }
    settings.consistent(check_limits(&limits))?;
    Ok(limits)
}

fn group_settings(settings: &Settings) -> Resolving<GroupSettings> {
    let models = [("byzantine", FaultModel::Byzantine), ("crash", FaultModel::Crash)];
    let written = WrittenSettings {
        fault_model: settings.choice("BFT.Ordering.FaultModel", &models)?,
        delta: settings.number("BFT.Ordering.Delta")?,
        heavy: Some(settings.numbers("BFT.Ordering.Heavy")?),
        leaders: Some(settings.numbers("BFT.Ordering.Leaders")?),
        window: settings.number("BFT.Ordering.Window")?,
        tentative: Some(settings.is_on("BFT.Ordering.Tentative")?),
    };
    GroupSettings::try_from(written).map_err(|flaw| {
        let key = match flaw.key() {
            SettingKey::Heavy => "BFT.Ordering.Heavy",
            SettingKey::Leaders => "BFT.Ordering.Leaders",
            SettingKey::Window => "BFT.Ordering.Window",
            SettingKey::Tentative => "BFT.Ordering.Tentative",
        };
        settings.wrong(key, flaw.to_string())
    })
}

fn http_listener(settings: &Settings, section: &str) -> Resolving<Option<HttpListener>> {
    let tls = tls(settings, section)?;
    let address = settings.address(&format!("{section}.ListenAddress"))?;
    Ok(address.map(|address| HttpListener { address, tls }))
}

fn admin(settings: &Settings, notices: &mut Vec<Notice>) -> Resolving<Option<HttpListener>> {
    let admin = http_listener(settings, "Admin")?;
    match &admin {
        None => notices.push(Notice::warning(
            "Admin.ListenAddress is not set: the channel participation API is not served, and osnadmin cannot join channels",
        )),
        Some(HttpListener { tls: Some(tls), .. }) if !tls.client_auth_required => {
            return Err(settings.wrong("Admin.TLS.ClientAuthRequired", "must be true, because Admin.TLS.Enabled is"));
        }
        Some(_) => {}
    }
    Ok(admin)
}

fn metrics(settings: &Settings, notices: &mut Vec<Notice>) -> Resolving<MetricsProvider> {
    match settings.text("Metrics.Provider")?.map(str::to_ascii_lowercase).as_deref() {
        None | Some("disabled") => Ok(MetricsProvider::Disabled),
        Some("prometheus") => Ok(MetricsProvider::Prometheus),
        Some("statsd") => Ok(MetricsProvider::Statsd(statsd(settings)?)),
        Some(other) => {
            let origin = settings.origin("Metrics.Provider");
            let text = format!(
                "{origin}: Metrics.Provider = {other:?} is unknown, so there are no metrics; prometheus, statsd or disabled are known"
            );
            notices.push(Notice::warning(text));
            Ok(MetricsProvider::Disabled)
        }
    }
}

fn statsd(settings: &Settings) -> Resolving<Statsd> {
    let network =
        settings.choice("Metrics.Statsd.Network", &[("udp", StatsdNetwork::Udp), ("tcp", StatsdNetwork::Tcp)])?;
    let missing = || settings.wrong("Metrics.Statsd.Address", "is missing, and Metrics.Provider is statsd");
    let address: ListenAddress = settings.address("Metrics.Statsd.Address")?.ok_or_else(missing)?;
    Ok(Statsd {
        network: network.unwrap_or(StatsdNetwork::Udp),
        address,
        write_interval: settings.duration("Metrics.Statsd.WriteInterval", std::time::Duration::from_secs(30))?,
        prefix: settings.text("Metrics.Statsd.Prefix")?.unwrap_or_default().to_owned(),
    })
}

fn participation(settings: &Settings, notices: &mut Vec<Notice>) -> Resolving<Participation> {
    let default = Participation::default();
    let enabled = settings.flag("ChannelParticipation.Enabled", default.enabled)?;
    if !enabled {
        notices.push(Notice::warning(
            "ChannelParticipation.Enabled is false: channels cannot be joined, every call of osnadmin is answered with 503",
        ));
    }
    let key = "ChannelParticipation.MaxRequestBodySize";
    Ok(Participation { enabled, max_request_body_size: settings.bytes(key, default.max_request_body_size, u32::MAX)? })
}

fn authentication(settings: &Settings) -> Resolving<Authentication> {
    let default = Authentication::default();
    Ok(Authentication {
        time_window: settings.duration("General.Authentication.TimeWindow", default.time_window)?,
        no_expiration_checks: settings.is_on("General.Authentication.NoExpirationChecks")?,
    })
}

fn grpc(settings: &Settings) -> Resolving<GrpcLimits> {
    let GrpcLimits { max_recv_message_size, max_send_message_size, connection_timeout, keepalive } =
        GrpcLimits::default();
    Ok(GrpcLimits {
        max_recv_message_size: settings.bytes("General.MaxRecvMsgSize", max_recv_message_size, MESSAGE_BYTES_MAX)?,
        max_send_message_size: settings.bytes("General.MaxSendMsgSize", max_send_message_size, MESSAGE_BYTES_MAX)?,
        connection_timeout: settings.duration("General.ConnectionTimeout", connection_timeout)?,
        keepalive: Keepalive {
            server_interval: settings.duration("General.Keepalive.ServerInterval", keepalive.server_interval)?,
            server_timeout: settings.duration("General.Keepalive.ServerTimeout", keepalive.server_timeout)?,
        },
    })
}

fn throttling(settings: &Settings) -> Resolving<Throttling> {
    let default = Throttling::default();
    Ok(Throttling {
        rate: settings.number("General.Throttling.Rate")?.unwrap_or(default.rate),
        inactivity_timeout: settings.duration("General.Throttling.InactivityTimeout", default.inactivity_timeout)?,
    })
}

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 7050;
const DEFAULT_LEDGER: &str = "/var/hyperledger/production/orderer";
const SAMPLE_WAL: &str = "/var/hyperledger/production/orderer/etcdraft/wal";
/// The sizes of messages are signed 32-bit numbers in Fabric.
const MESSAGE_BYTES_MAX: u32 = i32::MAX as u32;
