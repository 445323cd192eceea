//! A frontend as a process of its own: channels on disk, a frontend for each ordering group, and listeners for clients.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fabric_proto::ChannelId;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channels::{Channels, ChannelsError};
use crate::config::{ChannelSettings, ListenerSettings, Settings};
use crate::frontend::FrontendHandle;
use crate::group_frontends::{GroupFrontends, ServeError};
use crate::ledger::{Ledger, LedgerError};
use crate::router::Router;
use crate::service::Service;
use crate::stages::{self, StageReport};
use crate::status::{self, Counters, StatusReport};
use crate::tls::{ALPN_GRPC, ClientAuth, TlsError, TrustedClients, server_config};
use crate::tls_clients::{CertificateBinding, serve_tls};

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// The ledger of a channel.
    #[error("channel {channel}: {source}")]
    Ledger {
        /// Which channel.
        channel: ChannelId,
        /// What is wrong.
        source: LedgerError,
    },
    /// Too many channels.
    #[error(transparent)]
    Channels(#[from] ChannelsError),
    /// A channel that cannot be served.
    #[error("channel {channel}: {source}")]
    Serve {
        /// Which channel.
        channel: ChannelId,
        /// What is wrong.
        source: ServeError,
    },
    /// Certificates of a listener.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which one.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// No thread or socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A running process of this kind.
pub struct Standalone {
    frontends: GroupFrontends,
    addresses: Vec<SocketAddr>,
    sockets: Vec<PathBuf>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Standalone {
    /// Opens the ledgers, begins to connect to the nodes, and listens.
    ///
    /// # Errors
    /// [`StandaloneError`]; nothing runs then.
    pub async fn start(settings: Settings) -> Result<Self, StandaloneError> {
        if !settings.stage_times {
            stages::switch_off();
        }
        let channels = Channels::new()?;
        let mut served = Vec::new();
        for (id, channel) in settings.channels {
            let ledger = ledger(&settings.data_dir, &id, &channel)?;
            served.push(channels.add(channel.config, Arc::new(ledger))?);
        }
        let listeners = listen(settings.listeners, &channels).await?;
        let status_listener = settings.status_socket.as_deref().map(bind_unix).transpose()?;

        let router = Arc::new(Router::new());
        let (identity, addresses, of_groups) = (settings.identity, settings.addresses, settings.ordering);
        let frontends = GroupFrontends::new(channels.clone(), identity, addresses, of_groups, Arc::clone(&router));
        for channel in &served {
            let failed = |source| StandaloneError::Serve { channel: channel.id().clone(), source };
            frontends.serve(channel).map_err(failed)?;
        }
        let counters = Arc::new(Counters::default());
        let mut service =
            Service::new(channels.clone(), router, counters.clone()).authenticating(settings.authentication);
        match settings.msp {
            Some(msp) => service = service.signing_with(Arc::new(msp.identity().clone())),
            None => {
                tracing::warn!("config updates are refused: the configuration has no [msp] to sign their results with")
            }
        }
        let mut running = Self {
            frontends,
            addresses: Vec::new(),
            sockets: settings.status_socket.into_iter().collect(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        for listener in listeners {
            running.serve(listener, service.clone())?;
        }
        if let Some(listener) = status_listener {
            running.serve_status(listener, channels, counters);
        }
        Ok(running)
    }

    /// The TCP addresses that are listened on, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The frontends, one for each ordering group.
    #[must_use]
    pub fn frontends(&self) -> Vec<FrontendHandle> {
        self.frontends.list()
    }

    /// Ends everything and waits for it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.frontends.stop().await;
        self.tasks.close();
        self.tasks.wait().await;
        for socket in &self.sockets {
            // A socket that is gone already is as good.
            let _ = std::fs::remove_file(socket);
        }
    }

    fn serve(&mut self, listener: Listener, service: Service) -> Result<(), StandaloneError> {
        let stop = self.stop.clone();
        match listener {
            Listener::Unix(path, listener) => {
                tracing::info!("clients are served on {}", path.display());
                self.sockets.push(path);
                self.tasks.spawn(async move { service.serve_unix(listener, stop).await });
            }
            Listener::Plain(listener) => {
                self.addresses.push(listener.local_addr()?);
                tracing::info!("clients are served on {}, without TLS", listener.local_addr()?);
                self.tasks.spawn(async move { service.serve_tcp(listener, stop).await });
            }
            Listener::Tls(listener, config, binding) => {
                self.addresses.push(listener.local_addr()?);
                tracing::info!("clients are served on {}, with TLS", listener.local_addr()?);
                self.tasks.spawn(async move { serve_tls(&service, listener, config, binding, stop).await });
            }
        }
        Ok(())
    }

    fn serve_status(&self, listener: UnixListener, channels: Channels, counters: Arc<Counters>) {
        let frontends = self.frontends.clone();
        let report = move || report(&channels, &counters, &frontends.list());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                outcome = status::serve(listener, Arc::new(report)) => {
                    if let Err(error) = outcome {
                        tracing::error!("the status socket failed: {error}");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
    }
}

/// A bound listener.
enum Listener {
    Unix(PathBuf, UnixListener),
    Plain(TcpListener),
    Tls(TcpListener, Arc<rustls::ServerConfig>, CertificateBinding),
}

async fn listen(settings: Vec<ListenerSettings>, channels: &Channels) -> Result<Vec<Listener>, StandaloneError> {
    let mut listeners = Vec::new();
    for settings in settings {
        listeners.push(match settings {
            ListenerSettings::Unix(path) => {
                let listener = bind_unix(&path)?;
                Listener::Unix(path, listener)
            }
            ListenerSettings::Plain(address) => Listener::Plain(bind_tcp(address).await?),
            ListenerSettings::Tls { address, identity, client_authorities } => {
                let (client_auth, binding) = match client_authorities {
                    None => (ClientAuth::Requested, CertificateBinding::NotRequired),
                    Some(more) => (required(more, channels)?, CertificateBinding::Required),
                };
                Listener::Tls(bind_tcp(address).await?, server_config(&identity, &[ALPN_GRPC], client_auth)?, binding)
            }
        });
    }
    Ok(listeners)
}

/// Clients of any organization of the channels (contract §1.2), or of these authorities.
fn required(authorities: Vec<CertificateDer<'static>>, channels: &Channels) -> Result<ClientAuth, TlsError> {
    Ok(ClientAuth::Required(Arc::new(TrustedClients::following(channels.clone(), authorities)?)))
}

fn ledger(data_dir: &Path, id: &ChannelId, channel: &ChannelSettings) -> Result<Ledger, StandaloneError> {
    let failed = |source| StandaloneError::Ledger { channel: id.clone(), source };
    let ledger = Ledger::open(&data_dir.join("channels").join(id.as_str())).map_err(failed)?;
    // Accepted again if it is the same block; a fork otherwise.
    ledger.append(0, channel.genesis.clone()).map_err(failed)?;
    Ok(ledger)
}

fn report(channels: &Channels, counters: &Counters, frontends: &[FrontendHandle]) -> StatusReport {
    let mut report = StatusReport::of(channels, counters);
    let frontends: Vec<_> = frontends.iter().map(FrontendHandle::counters).collect();
    for channel in frontends.iter().flat_map(|frontend| &frontend.channels) {
        if let Some(reason) = &channel.stopped {
            report.complaints.push(format!("channel {}: no more blocks are collected: {reason}", channel.channel));
        }
    }
    let frontends = serde_json::to_value(frontends).unwrap_or_default();
    report.sections.insert("frontends".to_owned(), frontends);
    let stages = serde_json::to_value(StageReport::now()).unwrap_or_default();
    report.sections.insert(stages::SECTION.to_owned(), stages);
    report
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, StandaloneError> {
    TcpListener::bind(address).await.map_err(|source| StandaloneError::Listen { address: address.to_string(), source })
}

/// A socket that somebody answers on is in use; one that nobody does was left behind. Anything else is not ours to
/// remove.
fn bind_unix(path: &Path) -> Result<UnixListener, StandaloneError> {
    let failed = |source| StandaloneError::Listen { address: path.display().to_string(), source };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let is_dead = || BlockingUnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && is_dead() {
        std::fs::remove_file(path).map_err(failed)?;
    }
    UnixListener::bind(path).map_err(failed)
}
