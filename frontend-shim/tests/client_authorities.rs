//! Whom a listener that requires client certificates lets in: it follows the channels' configurations (contract §1.2).
#![allow(clippy::unwrap_used)]

mod network;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::{ApplicationOrganizationProfile, Bundle, ChannelConfig, MspMaterial};
use fabric_proto::ChannelId;
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use frontend_shim::channels::Channels;
use frontend_shim::client::AtomicBroadcastClient;
use frontend_shim::service::Service;
use frontend_shim::tls::{self, ALPN_GRPC, ClientAuth, ServerTrust, TrustedClients, client_config, server_config};
use frontend_shim::tls_clients::{CertificateBinding, serve_tls};
use frontend_shim::tls_identity::{TlsIdentity, parse_certificates};
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use network::{Network, authority, leaf};
use rcgen::KeyPair;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Endpoint;

/// An organization of peers, and a client of it.
struct Organization {
    name: &'static str,
    authority: Bytes,
    client: TlsIdentity,
}

impl Organization {
    fn new(name: &'static str) -> Self {
        let ((authority, issuer), key) = (authority(), KeyPair::generate().unwrap());
        let pem = leaf(&key, &issuer, "client");
        let client = TlsIdentity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        Self { name, authority, client }
    }

    fn profile(&self) -> ApplicationOrganizationProfile {
        let msp = MspMaterial {
            msp_id: self.name.to_owned(),
            root_certs: vec![self.authority.clone()],
            tls_root_certs: vec![self.authority.clone()],
            node_ou_certifier: Some(self.authority.clone()),
            ..MspMaterial::default()
        };
        ApplicationOrganizationProfile { name: self.name.to_owned(), msp, anchor_peers: Vec::new() }
    }
}

/// A listener that requires certificates.
struct Listener {
    address: SocketAddr,
    trust: ServerTrust,
    _running: DropGuard,
}

impl Listener {
    async fn start(network: &Network, channels: &Channels, operators: &[Bytes]) -> Self {
        let authorities = operators.iter().flat_map(|pem| parse_certificates(pem).unwrap()).collect();
        let trusted = TrustedClients::following(channels.clone(), authorities).unwrap();
        let identity = &network.tls[3];
        let config = server_config(identity, &[ALPN_GRPC], ClientAuth::Required(Arc::new(trusted))).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, running) = (socket.local_addr().unwrap(), CancellationToken::new());
        let (service, stop) = (Service::new(channels.clone(), Arc::new(Refusing), Arc::default()), running.clone());
        tokio::spawn(async move { serve_tls(&service, socket, config, CertificateBinding::Required, stop).await });
        let trust = ServerTrust::Pinned(identity.spki().unwrap());
        Self { address, trust, _running: running.drop_guard() }
    }

    async fn serves(&self, client: Option<&TlsIdentity>) -> bool {
        let config = client_config(client, ALPN_GRPC, self.trust.clone()).unwrap();
        let address = self.address.to_string();
        let connect = tower::service_fn(move |_| {
            let (config, address) = (config.clone(), address.clone());
            async move { tls::dial(&address, config).await.map(TokioIo::new) }
        });
        match Endpoint::from_static("http://tls").connect_with_connector(connect).await {
            Ok(channel) => AtomicBroadcastClient::from(channel).check_health(Bytes::new()).await.is_ok(),
            Err(_) => false,
        }
    }
}

struct Refusing;

impl Submit for Refusing {
    fn submit(&self, _: &ChannelId, _: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        Box::pin(std::future::ready(Err(SubmitError::NotOpen)))
    }
}

/// The configuration that follows this one, with only these organizations of those in `full`.
fn next_with(current: &ChannelConfig, full: &ChannelConfig, names: &[&str]) -> ChannelConfig {
    let mut tree = full.bundle().tree().clone();
    tree.sequence = current.sequence() + 1;
    let application = tree.root.as_mut().unwrap().groups.get_mut("Application").unwrap();
    application.groups.retain(|name, _| names.contains(&name.as_str()));
    ChannelConfig::from_bundle(Bundle::from_tree(full.channel_id().as_str(), tree).unwrap()).unwrap()
}

#[tokio::test]
async fn an_organization_is_let_in_when_it_is_added_and_refused_when_it_is_removed() {
    let [first, second, operators] = ["First", "Second", "Operators"].map(Organization::new);
    let network = Network::with_organizations(&[7050, 7051, 7052, 7053], vec![first.profile(), second.profile()]);
    let local = network.channel();
    let (channel, full) = (&local.channel, &network.config);
    channel.install_config(next_with(full, full, &["First"]));
    let listener = Listener::start(&network, &local.channels, std::slice::from_ref(&operators.authority)).await;
    let served = async || {
        let clients = [&first.client, &second.client, &operators.client, &network.tls[0]];
        let mut served = Vec::new();
        for client in clients {
            served.push(listener.serves(Some(client)).await);
        }
        served
    };
    assert_eq!(served().await, [true, false, true, true], "a consenter is known by its key");
    assert!(!listener.serves(None).await);

    channel.install_config(next_with(&channel.config(), full, &["First", "Second"]));
    assert_eq!(served().await, [true, true, true, true]);
    channel.install_config(next_with(&channel.config(), full, &["Second"]));
    assert_eq!(served().await, [false, true, true, true]);

    let (ledger, last) = (Arc::clone(channel.ledger()), channel.config());
    local.channels.remove(channel.id()).unwrap();
    assert_eq!(served().await, [false, false, true, false]);
    local.channels.add(ChannelConfig::clone(&last), ledger).unwrap();
    assert_eq!(served().await, [false, true, true, true]);
}
