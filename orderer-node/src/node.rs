//! The process: reads what the configuration points at, recovers, starts every task, and ends with one clear line.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use blockcutter::Verification;
use frontend_shim::channels::Channels;
use frontend_shim::deliver::{ClientConnection, TlsBinding};
use frontend_shim::router::Router;
use frontend_shim::service::Service;
use frontend_shim::status::Counters;
use frontend_shim::tls::{self, ClientAuth, Spki, TrustedClients};
use frontend_shim::tls_identity::{TlsIdentity, load_certificates};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::block_catch_up::BlockSource;
use crate::channel_files::{GroupFiles, Membership, open_channels};
use crate::config::{self, CertificateFiles, Resolved};
use crate::embedded::{self, EmbeddedFrontend};
use crate::fault::Faults;
use crate::group::{self, GroupHandle, GroupSetup};
use crate::keys::{LocalMsp, NodeKeyring, SigningKey, VoteBinding, VoteKey};
use crate::listener::{
    Accepted, Doors, FRONTEND_CONNECTIONS_MAX, GRPC_CONNECTIONS_MAX, Listener, ListenerLimits, MESH_CONNECTIONS_MAX,
    Security, door,
};
use crate::mesh::{Mesh, MeshDoor, MeshHandle, MeshLimits, MeshSetup, Peer};
use crate::sessions::{self, Caller, SessionEnd};
use crate::status::{GroupStatus, NodeStatus};
use crate::work_pool::WorkPool;

/// Runs a node until it is told to stop or can no longer go on.
///
/// # Errors
/// What keeps it from starting, or the fault that ended it.
pub async fn run(config: Resolved) -> anyhow::Result<()> {
    let node = Node::prepare(&config)?;
    let (faults, mut fault) = Faults::channel();
    let shutdown = CancellationToken::new();
    let _guard = shutdown.clone().drop_guard();
    node.start(&config, faults, shutdown.clone()).await?;
    tokio::select! {
        Some(fault) = fault.recv() => {
            tracing::error!(%fault, "this node stops");
            Err(fault.into())
        }
        signal = stop_signal() => {
            tracing::info!(signal = signal?, "stopping");
            Ok(())
        }
    }
}

/// What is read before the first socket opens.
struct Node {
    msp: LocalMsp,
    tls: Option<TlsIdentity>,
    mesh_identity: TlsIdentity,
    channels: Channels,
    groups: Vec<(Membership, GroupFiles)>,
}

impl Node {
    fn prepare(config: &Resolved) -> anyhow::Result<Self> {
        let msp = LocalMsp::load(&config.msp.dir, &config.msp.id)?;
        let load = |files: &CertificateFiles| TlsIdentity::load(&files.certificate, &files.key);
        let tls = config.tls.as_ref().map(|tls| load(&tls.server)).transpose()?;
        let files = config.mesh_identity.as_ref().context(
            "no certificate for connections with other nodes: the configuration needs a [tls] or a [cluster] section",
        )?;
        let mesh_identity = load(files)?;
        // Only a key of the kind that pins a consenter can be one; others simply are not.
        let tls_key = SigningKey::load(&files.key).ok().map(Arc::new);
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("cannot create data folder {}", config.data_dir.display()))?;
        let channels = Channels::new().context("cannot start the thread that syncs ledgers")?;
        let groups = open_channels(&config.channels, &config.data_dir, msp.identity(), tls_key.as_ref(), &channels)?;
        Ok(Self { msp, tls, mesh_identity, channels, groups })
    }

    async fn start(self, config: &Resolved, faults: Faults, shutdown: CancellationToken) -> anyhow::Result<()> {
        say_what_is_not_checked(config.verification);
        let listener = Listener::bind(config.listen_address).await?;
        let cluster = match &config.cluster {
            Some(cluster) => Some(Listener::bind(cluster.listen_address).await?),
            None => None,
        };
        let verify = WorkPool::start("verify", threads(), VERIFY_JOBS_MAX)?;
        let sign = WorkPool::start("sign", threads(), crate::signer::BLOCKS_SIGNING_MAX)?;
        let mesh_door = MeshDoor::new();
        let mut groups = Vec::new();
        for (membership, files) in &self.groups {
            let started = self.start_group(config, membership, files, (&verify, &sign), &mesh_door, &faults).await?;
            groups.push(started);
        }
        let router = Arc::new(Router::new());
        let frontends = if config.embedded_frontend { self.embed(&groups, &router)? } else { Vec::new() };

        let counters = Arc::new(Counters::default());
        let service = Service::new(self.channels.clone(), router, Arc::clone(&counters))
            .signing_with(Arc::new(self.msp.identity().clone()));
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
        let mut listeners = vec![listener.start(self.security(config)?, doors, ListenerLimits::default())];
        if let Some(cluster) = cluster {
            let protocols = [tls::ALPN_MESH, tls::ALPN_FRONTEND];
            let security = Security::Tls(tls::server_config(&self.mesh_identity, &protocols, ClientAuth::Requested)?);
            listeners.push(cluster.start(security, private, ListenerLimits::default()));
        }
        tokio::spawn(mesh_door.clone().run(accepted_mesh));
        tokio::spawn(serve_frontends(
            accepted_frontends,
            groups.iter().map(|(_, group, _)| Arc::clone(&group.sessions)).collect(),
        ));
        tokio::spawn(serve_clients(accepted_grpc, service.clone(), binds, shutdown.clone()));
        if let Some(path) = &config.sockets.broadcast {
            let (socket, service, shutdown) = (bind_unix(path)?, service, shutdown.clone());
            tokio::spawn(async move { service.serve_unix(socket, shutdown).await });
        }
        let groups = groups.into_iter().map(|(mesh, group, me)| GroupStatus { me, mesh, group }).collect();
        let status = NodeStatus { channels: self.channels, counters, groups, frontends, mesh_door, listeners };
        if let Some(path) = &config.sockets.status {
            let socket = bind_unix(path)?;
            tokio::spawn(status.serve(socket));
        } else {
            // Listeners and frontends live as long as the node.
            tokio::spawn(async move {
                shutdown.cancelled().await;
                drop(status);
            });
        }
        tracing::info!(%address, "Beginning to serve requests");
        Ok(())
    }

    async fn start_group(
        &self,
        config: &Resolved,
        membership: &Membership,
        files: &GroupFiles,
        (verify, sign): (&WorkPool, &WorkPool),
        door: &MeshDoor,
        faults: &Faults,
    ) -> anyhow::Result<(MeshHandle, GroupHandle, mod_smart::ReplicaId)> {
        let (me, view, id) = (membership.me, files.group.view(), files.group.id());
        if view.f() == 0 {
            tracing::warn!(replicas = view.n(), "this ordering group tolerates no fault: fewer than four replicas");
        }
        let vote_key = Arc::new(VoteKey::derive(&membership.pinned));
        let keyring = Arc::new(self.keyring(files));
        let setup = MeshSetup {
            group: id,
            me,
            identity: self.mesh_identity.clone(),
            binding: VoteBinding::sign(id, me, &vote_key, &membership.pinned),
            peers: peers(files, me),
            keyring: Arc::clone(&keyring),
            limits: MeshLimits::default(),
        };
        let (mesh, events) = Mesh::start(setup)?;
        door.open(&mesh);
        let handle = group::start(GroupSetup {
            me,
            group: Arc::new(files.group.clone()),
            limits: config.limits.clone(),
            dir: config.data_dir.join("groups").join(hex::encode(id.0)),
            durability: config.durability,
            verification: config.verification,
            channels: files.channels.clone(),
            keyring,
            vote_key,
            identity: Arc::new(self.msp.identity().clone()),
            mesh: (mesh.clone(), events),
            sources: BlockSource::of_group(&files.group, me, &self.mesh_identity)?,
            verify: verify.clone(),
            sign: sign.clone(),
            faults: faults.clone(),
        })
        .await?;
        let names: Vec<&str> = files.channels.keys().map(fabric_proto::ChannelId::as_str).collect();
        tracing::info!(group = %id, replica = %me, of = files.group.view().n(), channels = names.join(","), "hosting an ordering group");
        Ok((mesh, handle, me))
    }

    fn keyring(&self, files: &GroupFiles) -> NodeKeyring {
        let key = |consenter: &fabric_channel::Consenter| match &consenter.identity {
            Some(identity) => identity.certificate.public_key().clone(),
            None => consenter.server_tls_cert.public_key().clone(),
        };
        let pins = files.group.consenters().iter().map(key).collect();
        let authorities = files.config.msps().iter().filter(|msp| files.config.is_orderer_msp(msp.id())).cloned();
        NodeKeyring::new(files.group.id(), pins, authorities.collect())
    }

    /// One embedded frontend for each group, connected to our own replica in memory and to the others over TLS.
    fn embed(
        &self,
        groups: &[(MeshHandle, GroupHandle, mod_smart::ReplicaId)],
        router: &Router,
    ) -> anyhow::Result<Vec<EmbeddedFrontend>> {
        let files = self.groups.iter().map(|(_, files)| files);
        files
            .zip(groups)
            .map(|(files, (mesh, group, me))| {
                let host = Arc::clone(&group.sessions);
                embedded::start(*me, files, &self.mesh_identity, &self.channels, router, host, mesh)
            })
            .collect()
    }

    fn security(&self, config: &Resolved) -> anyhow::Result<Security> {
        let (Some(identity), Some(files)) = (&self.tls, &config.tls) else { return Ok(Security::Plain) };
        let client_auth = if files.client_auth_required {
            ClientAuth::Required(Arc::new(self.trusted_clients(files)?))
        } else {
            ClientAuth::Requested
        };
        let protocols = [tls::ALPN_GRPC, tls::ALPN_MESH, tls::ALPN_FRONTEND];
        Ok(Security::Tls(tls::server_config(identity, &protocols, client_auth)?))
    }

    /// Clients of every organisation of every channel, whom the operator names besides, and the consenters themselves
    /// (contract 1.2).
    fn trusted_clients(&self, files: &config::TlsFiles) -> anyhow::Result<TrustedClients> {
        let mut authorities: Vec<CertificateDer<'static>> = Vec::new();
        for path in &files.client_root_cas {
            authorities.extend(load_certificates(path)?);
        }
        let mut pins = Vec::new();
        for channel in self.channels.list() {
            let config = channel.config();
            let msps = config.msps().iter().flat_map(|msp| msp.tls_roots().iter().chain(msp.tls_intermediates()));
            authorities.extend(msps.map(|certificate| CertificateDer::from(certificate.der().to_vec())));
            let keys = config.consenters().iter().flat_map(|c| [&c.client_tls_cert, &c.server_tls_cert]);
            pins.extend(keys.map(|certificate| Spki::from_der(certificate.spki_der().clone())));
        }
        Ok(TrustedClients::new(&authorities, pins)?)
    }
}

fn peers(files: &GroupFiles, me: mod_smart::ReplicaId) -> Vec<Peer> {
    let others = (0..).map(mod_smart::ReplicaId).zip(files.group.consenters()).filter(|(replica, _)| *replica != me);
    let key = |certificate: &fabric_channel::Certificate| Spki::from_der(certificate.spki_der().clone());
    others
        .map(|(replica, consenter)| Peer {
            replica,
            address: consenter.address(),
            server_key: key(&consenter.server_tls_cert),
            client_key: key(&consenter.client_tls_cert),
        })
        .collect()
}

/// Serves the connections of applications and peers.
async fn serve_clients(
    mut accepted: mpsc::Receiver<Accepted>,
    service: Service,
    binds: bool,
    shutdown: CancellationToken,
) {
    while let Some(Accepted { socket, peer, certificates }) = accepted.recv().await {
        let binding = match certificates.first() {
            Some(certificate) if binds => TlsBinding::Required { certificate_hash: Sha256::digest(certificate).into() },
            _ => TlsBinding::NotRequired,
        };
        let client = ClientConnection { address: peer.to_string(), binding };
        let (service, shutdown) = (service.clone(), shutdown.clone());
        tokio::spawn(async move { service.serve_connection(socket, client, shutdown).await });
    }
}

/// Serves the sessions of frontends in other processes. The first group is tried for each; its hello names the right one.
async fn serve_frontends(mut accepted: mpsc::Receiver<Accepted>, hosts: Vec<Arc<sessions::SessionHost>>) {
    let hosts = Arc::new(hosts);
    while let Some(Accepted { socket, peer, certificates }) = accepted.recv().await {
        let Some(certificate) = certificates.into_iter().next() else { continue };
        let hosts = Arc::clone(&hosts);
        tokio::spawn(async move {
            match sessions::serve(&hosts, socket, Caller::Tls(certificate)).await {
                Ok(()) => tracing::debug!(%peer, "a frontend session ended"),
                Err(end @ (SessionEnd::Garbage(_) | SessionEnd::Refused(_))) => {
                    tracing::warn!(%peer, %end, "a frontend session ended");
                }
                Err(end) => tracing::debug!(%peer, %end, "a frontend session ended"),
            }
        });
    }
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

async fn stop_signal() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Messages and requests that may be in the verify pool or on their way out of it.
const VERIFY_JOBS_MAX: usize = 1024;
