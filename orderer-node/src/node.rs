//! The process: reads what the configuration points at, recovers, starts every task, and ends with one clear line.

mod services;

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use blockcutter::Verification;
use bytes::Bytes;
use frontend_shim::channels::{Channels, UnsyncedLedger};
use frontend_shim::deliver::ClientConnection;
use frontend_shim::router::Router;
use frontend_shim::service::Service;
use frontend_shim::stages::{self, Stage};
use frontend_shim::status::Counters;
use frontend_shim::tls::{self, ClientAuth};
use frontend_shim::tls_identity::TlsIdentity;
use frontend_shim::trusted_clients::TrustedClients;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::administration::Administration;
use crate::config::{CertificateFiles, Resolved};
use crate::fault::{Fault, Faults};
use crate::hand_over;
use crate::keys::{LocalMsp, SigningKey};
use crate::listener::{
    Accepted, Doors, FRONTEND_CONNECTIONS_MAX, GRPC_CONNECTIONS_MAX, Listener, ListenerLimits, MESH_CONNECTIONS_MAX,
    Security, door,
};
use crate::mesh::MeshDoor;
use crate::operations::{LogSpec, WatchedCertificate};
use crate::participation::JoinError;
use crate::registrar::{HostingSetup, Registrar, RegistrarSetup};
use crate::sessions::{self, Caller, SessionEnd};
use crate::status::NodeStatus;
use crate::stop_signals::{StopSignals, Terminal};
use crate::work_pool::WorkPool;

/// Runs a node until it is told to stop or can no longer go on.
///
/// # Errors
/// What keeps it from starting, or the fault that ended it.
pub async fn run(config: Resolved, log: Arc<dyn LogSpec>) -> anyhow::Result<()> {
    hear_of_file_limits()?;
    let (faults, mut fault) = Faults::channel();
    let shutdown = CancellationToken::new();
    let _guard = shutdown.clone().drop_guard();
    // From here on: whoever reads that the node serves may stop it at once, and recovery may take long.
    let mut signals = StopSignals::hear(Terminal::Outlive)?;
    let serving = async {
        start(&config, log, faults, shutdown.clone()).await?;
        match fault.recv().await {
            Some(fault) => {
                fault.log();
                Err(fault.into())
            }
            // Nothing is left that could report one.
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = serving => ended,
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
    }
}

/// Starts a node: when this returns it serves requests. Gives what its channels are administered with.
///
/// # Errors
/// What keeps it from starting.
pub async fn start(
    config: &Resolved,
    log: Arc<dyn LogSpec>,
    faults: Faults,
    shutdown: CancellationToken,
) -> anyhow::Result<Registrar> {
    Node::prepare(config)?.start(config, log, faults, shutdown).await
}

/// What is read before the first socket opens.
struct Node {
    msp: LocalMsp,
    tls: Option<TlsIdentity>,
    mesh_identity: TlsIdentity,
    /// Shown to nodes that this one connects to.
    mesh_client_identity: TlsIdentity,
    /// None if the key is of a kind that cannot pin a consenter.
    tls_key: Option<Arc<SigningKey>>,
    channels: Channels,
    /// Join blocks that the configuration names.
    join_blocks: Vec<(PathBuf, Bytes)>,
}

impl Node {
    fn prepare(config: &Resolved) -> anyhow::Result<Self> {
        let msp = LocalMsp::load_with_keystore(&config.msp.dir, &config.msp.keystore, &config.msp.id)?;
        let load = |files: &CertificateFiles| TlsIdentity::load(&files.certificate, &files.key);
        let tls = config.tls.as_ref().map(|tls| load(&tls.server)).transpose()?;
        let files = config.mesh_identity.as_ref().context(
            "no certificate for connections with other nodes: the configuration needs a [tls] or a [cluster] section",
        )?;
        let mesh_identity = load(files)?;
        let mesh_client_identity = load(config.mesh_client_identity.as_ref().unwrap_or(files))?;
        let tls_key = SigningKey::load(&files.key).ok().map(Arc::new);
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("cannot create data folder {}", config.data_dir.display()))?;
        let channels = Channels::new().context("cannot start the thread that syncs ledgers")?;
        let read = |path: &PathBuf| -> anyhow::Result<(PathBuf, Bytes)> {
            let block = std::fs::read(path).with_context(|| format!("cannot read join block {}", path.display()))?;
            Ok((path.clone(), block.into()))
        };
        let join_blocks = config.channels.iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { msp, tls, mesh_identity, mesh_client_identity, tls_key, channels, join_blocks })
    }

    async fn start(
        mut self,
        config: &Resolved,
        log: Arc<dyn LogSpec>,
        faults: Faults,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Registrar> {
        if !config.stage_times {
            stages::switch_off();
        }
        say_what_is_not_checked(config.verification);
        services::say_what_is_not_applied(config);
        let listener = Listener::bind(config.listen_address.resolve().await?).await?;
        let cluster = match &config.cluster {
            Some(cluster) => Some(Listener::bind(cluster.listen_address.resolve().await?).await?),
            None => None,
        };
        let (mesh_door, router) = (MeshDoor::new(), Arc::new(Router::new()));
        let registrar = self.registrar(config, (&mesh_door, &router), faults.clone()).await?;

        let counters = Arc::new(Counters::default());
        let service = Service::new(self.channels.clone(), router, Arc::clone(&counters))
            .signing_with(Arc::new(self.msp.identity().clone()))
            .authenticating(config.authentication);
        let service = services::bounded(service, config);
        let (grpc, accepted_grpc) = door(GRPC_CONNECTIONS_MAX);
        let (mesh, accepted_mesh) = door(MESH_CONNECTIONS_MAX);
        let (frontend, accepted_frontends) = door(FRONTEND_CONNECTIONS_MAX);
        let private = Doors { grpc: None, mesh: Some(mesh), frontend: Some(frontend) };
        let grpc = config.embedded_frontend.then_some(grpc);
        let doors = match cluster {
            Some(_) => Doors { grpc, mesh: None, frontend: None },
            None => Doors { grpc, ..private.clone() },
        };
        let binds = config.tls.as_ref().is_some_and(|tls| tls.client_auth_required);
        let address = listener.address();
        let limits = ListenerLimits { handshake_time_max: config.grpc.connection_timeout, ..ListenerLimits::default() };
        let mut listeners = vec![listener.start(self.security(config)?, doors, limits)];
        if let Some(cluster) = cluster {
            let protocols = [tls::ALPN_MESH, tls::ALPN_FRONTEND];
            let security = Security::Tls(tls::server_config(&self.mesh_identity, &protocols, ClientAuth::Requested)?);
            listeners.push(cluster.start(security, private, limits));
        }
        tokio::spawn(mesh_door.clone().run(accepted_mesh));
        tokio::spawn(serve_frontends(accepted_frontends, registrar.clone()));
        tokio::spawn(serve_clients(accepted_grpc, service.clone(), binds, shutdown.clone()));
        if let Some(path) = &config.sockets.broadcast {
            let (socket, service, shutdown) = (bind_unix(path)?, service.clone(), shutdown.clone());
            tokio::spawn(async move { service.serve_unix(socket, shutdown).await });
        }
        let administration =
            Arc::new(Administration { registrar: registrar.clone(), service, channels: self.channels.clone() });
        services::administer(config, Arc::clone(&administration), shutdown.clone()).await?;
        let watched = self.watched_certificates(config)?;
        let status = NodeStatus {
            channels: self.channels.clone(),
            counters,
            registrar: registrar.clone(),
            mesh_door,
            listeners,
        };
        let observer = services::observer(config, status, administration, watched)?;
        services::operate(config, Arc::clone(&observer), log, shutdown.clone()).await?;
        if let Some(path) = &config.sockets.status {
            let socket = bind_unix(path)?;
            let others = hand_over::routes(registrar.clone(), self.channels.clone());
            tokio::spawn(Arc::clone(&observer).serve_status(socket, others));
        }
        tokio::spawn(report_unsynced(self.channels.clone(), faults));
        // Listeners and frontends live as long as the node.
        tokio::spawn(async move {
            shutdown.cancelled().await;
            drop(observer);
        });
        tracing::info!(%address, "Beginning to serve requests");
        Ok(registrar)
    }

    /// Takes up what was joined before, and joins what the configuration names besides.
    async fn registrar(
        &mut self,
        config: &Resolved,
        (mesh_door, router): (&MeshDoor, &Arc<Router>),
        faults: Faults,
    ) -> anyhow::Result<Registrar> {
        let hosting = HostingSetup {
            identity: Arc::new(self.msp.identity().clone()),
            mesh_identity: self.mesh_client_identity.clone(),
            addresses: config.addresses.clone(),
            dir: config.data_dir.join("groups"),
            journal_dir: config.journal_dir.clone(),
            durability: config.durability,
            verification: config.verification,
            limits: config.limits.clone(),
            settings: config.group_settings.clone(),
            verify: WorkPool::start("verify", threads(), VERIFY_JOBS_MAX)?,
            sign: WorkPool::start("sign", threads(), crate::signer::BLOCKS_SIGNING_MAX)?,
            mesh_door: mesh_door.clone(),
            router: config.embedded_frontend.then(|| Arc::clone(router)),
            faults,
        };
        let registrar = Registrar::start(RegistrarSetup {
            data_dir: config.data_dir.clone(),
            tls_key: self.tls_key.clone(),
            tls: self.tls.clone(),
            channels: self.channels.clone(),
            hosting,
        })
        .await?;
        for (path, block) in std::mem::take(&mut self.join_blocks) {
            match registrar.join(block).await {
                Ok(joined) => tracing::info!(channel = %joined.id, relation = ?joined.relation, "joined the channel"),
                Err(JoinError::AlreadyExists) => {}
                Err(error) => return Err(anyhow::Error::new(error).context(path.display().to_string())),
            }
        }
        Ok(registrar)
    }

    /// The certificates of this node whose end its operator should not miss.
    fn watched_certificates(&self, config: &Resolved) -> anyhow::Result<Vec<WatchedCertificate>> {
        let mut watched = vec![WatchedCertificate::new("signing", self.msp.identity().certificate().der())?];
        if let Some(tls) = &self.tls {
            watched.push(WatchedCertificate::new("tls", tls.certificate())?);
        }
        if config.cluster.is_some() || config.mesh_client_identity != config.mesh_identity {
            watched.push(WatchedCertificate::new("cluster", self.mesh_client_identity.certificate())?);
        }
        Ok(watched)
    }

    fn security(&self, config: &Resolved) -> anyhow::Result<Security> {
        let (Some(identity), Some(files)) = (&self.tls, &config.tls) else { return Ok(Security::Plain) };
        let client_auth = if files.client_auth_required {
            // Clients of every organisation of every channel, whom the operator names besides, and the consenters.
            let authorities = services::authorities(&files.client_root_cas)?;
            let trusted = TrustedClients::following(self.channels.clone(), authorities)?;
            ClientAuth::Required(Arc::new(trusted.looking_back(files.time_shift)))
        } else {
            ClientAuth::Requested
        };
        let protocols = [tls::ALPN_GRPC, tls::ALPN_MESH, tls::ALPN_FRONTEND];
        Ok(Security::Tls(tls::server_config(identity, &protocols, client_auth)?))
    }
}

/// Serves the connections of applications and peers.
async fn serve_clients(
    mut accepted: mpsc::Receiver<Accepted>,
    service: Service,
    binds: bool,
    shutdown: CancellationToken,
) {
    while let Some(Accepted { socket, peer, certificates }) = accepted.recv().await {
        let client = match certificates.first() {
            Some(certificate) if binds => ClientConnection::over_tls(peer.to_string(), certificate),
            _ => ClientConnection::unbound(peer.to_string()),
        };
        let (service, shutdown) = (service.clone(), shutdown.clone());
        tokio::spawn(async move { service.serve_connection(socket, client, shutdown).await });
    }
}

/// Serves the sessions of frontends in other processes. The first group is tried for each; its hello names the right one.
async fn serve_frontends(mut accepted: mpsc::Receiver<Accepted>, registrar: Registrar) {
    while let Some(Accepted { socket, peer, certificates }) = accepted.recv().await {
        let Some(certificate) = certificates.into_iter().next() else { continue };
        let hosts = registrar.hosting().session_hosts();
        tokio::spawn(async move {
            let session = sessions::serve(&hosts, socket, Caller::Tls(certificate));
            match Stage::SessionSocket.follow(session).await {
                Ok(()) => tracing::debug!(%peer, "a frontend session ended"),
                Err(end @ (SessionEnd::Garbage(_) | SessionEnd::Refused(_))) => {
                    tracing::warn!(%peer, %end, "a frontend session ended");
                }
                Err(end) => tracing::debug!(%peer, %end, "a frontend session ended"),
            }
        });
    }
}

/// A node whose blocks do not become durable must not go on as if they did.
async fn report_unsynced(channels: Channels, faults: Faults) {
    let UnsyncedLedger { channel, error } = channels.unsynced().await;
    faults.report(Fault::Unsynced { channel, error });
}

/// A Unix socket at this path. One that a dead process left behind is replaced; a living one is not.
fn bind_unix(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let is_socket = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).with_context(|| format!("cannot replace the dead socket {}", path.display()))?;
    }
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

fn say_what_is_not_checked(verification: Verification) {
    match verification {
        Verification::Full => {
            tracing::info!("verification: every envelope against its channel's Writers policy, by every node")
        }
        Verification::Frontends => tracing::warn!(
            "verification: frontends alone check that the creator of an envelope may write; a frontend that lies can have anything ordered"
        ),
    }
}

/// A write beyond a limit on the size of files fails then, as it does on a full disk, instead of ending the process without a
/// word. Holds until the process ends.
fn hear_of_file_limits() -> anyhow::Result<()> {
    drop(signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32))?);
    Ok(())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Messages and requests that may be in the verify pool or on their way out of it.
const VERIFY_JOBS_MAX: usize = 1024;
