//! TLS sections, and who listens to whom with which certificate.

use std::time::Duration;

use super::error::OrdererYamlError;
use super::settings::Settings;
use crate::config::{CertificateFiles, ClusterListen, ListenAddress, TlsFiles};

/// What the `General.Cluster` section means.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The listener for nodes alone, if there is one.
    pub listen: Option<ClusterListen>,
    /// Shown to nodes that connect to us.
    pub server: CertificateFiles,
    /// Shown to nodes that we connect to.
    pub client: CertificateFiles,
}

/// Reads a section with the keys of TLS; nothing if it is not enabled.
pub(super) fn tls(settings: &Settings, section: &str) -> Result<Option<TlsFiles>, OrdererYamlError> {
    let key = |name: &str| format!("{section}.TLS.{name}");
    if !settings.is_on(&key("Enabled"))? {
        return Ok(None);
    }
    let needed = |name: &str| {
        let missing = || settings.wrong(&key(name), format!("is missing, and {} is true", key("Enabled")));
        settings.file(&key(name))?.ok_or_else(missing)
    };
    Ok(Some(TlsFiles {
        server: CertificateFiles { certificate: needed("Certificate")?, key: needed("PrivateKey")? },
        client_auth_required: settings.is_on(&key("ClientAuthRequired"))?,
        client_root_cas: settings.files(&key("ClientRootCAs"))?,
        time_shift: settings.duration(&key("TLSHandshakeTimeShift"), Duration::ZERO)?,
    }))
}

/// Reads `General.Cluster`. Nodes speak TLS with each other, always.
pub(super) fn cluster(
    settings: &Settings,
    general: &ListenAddress,
    general_tls: Option<&TlsFiles>,
) -> Result<Cluster, OrdererYamlError> {
    let own = own_listener(settings, general)?;
    let (listen, server) = match (own, general_tls) {
        (Some((listen, server)), _) => (Some(listen), server),
        (None, Some(tls)) => (None, tls.server.clone()),
        (None, None) => {
            let why = "must be true, because nodes connect to each other with TLS and General.Cluster has no listener of its own";
            return Err(settings.wrong("General.TLS.Enabled", why));
        }
    };
    let certificate = settings.file("General.Cluster.ClientCertificate")?;
    let key = settings.file("General.Cluster.ClientPrivateKey")?;
    let client = match (certificate, key) {
        (None, None) => server.clone(),
        (Some(certificate), Some(key)) => CertificateFiles { certificate, key },
        (Some(_), None) => {
            return Err(settings.wrong("General.Cluster.ClientPrivateKey", "is missing, ClientCertificate is there"));
        }
        (None, Some(_)) => {
            return Err(settings.wrong("General.Cluster.ClientCertificate", "is missing, ClientPrivateKey is there"));
        }
    };
    Ok(Cluster { listen, server, client })
}

/// The listener for nodes alone: all four keys or none, as in Fabric.
fn own_listener(
    settings: &Settings,
    general: &ListenAddress,
) -> Result<Option<(ClusterListen, CertificateFiles)>, OrdererYamlError> {
    let [host_key, port_key, certificate_key, private_key] = LISTENER_KEYS;
    // Port 0 is Fabric's way to say that there is none.
    let port = settings.port(port_key)?.filter(|&port| port != 0);
    let host = settings.text(host_key)?;
    let certificate = settings.file(certificate_key)?;
    let key = settings.file(private_key)?;
    let (host, port, certificate, key) = match (host, port, certificate, key) {
        (None, None, None, None) => return Ok(None),
        (Some(host), Some(port), Some(certificate), Some(key)) => (host, port, certificate, key),
        (host, port, certificate, key) => {
            let are_set = [host.is_some(), port.is_some(), certificate.is_some(), key.is_some()];
            let missing =
                LISTENER_KEYS.iter().zip(are_set).find(|(_, is_set)| !is_set).map_or(port_key, |(key, _)| key);
            let why = format!("is missing: a listener of its own needs all of {}", LISTENER_KEYS.join(", "));
            return Err(settings.wrong(missing, why));
        }
    };
    let listen_address = settings.host_and_port(host_key, host, port)?;
    if listen_address == *general {
        return Err(settings.wrong(port_key, "is that of General.ListenPort, at the same address"));
    }
    Ok(Some((ClusterListen { listen_address }, CertificateFiles { certificate, key })))
}

const LISTENER_KEYS: [&str; 4] = [
    "General.Cluster.ListenAddress",
    "General.Cluster.ListenPort",
    "General.Cluster.ServerCertificate",
    "General.Cluster.ServerPrivateKey",
];
