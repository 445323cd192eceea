//! The directory follows the configurations in force of a group's channels.
#![allow(clippy::unwrap_used)]

mod network;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fabric_channel::authoring::edit::{ConsenterEdit, ConsenterSelector, replace_consenter};
use fabric_channel::{Bundle, ChannelConfig};

use frontend_shim::directory::{Contact, Directory};
use frontend_shim::tls::{self, ALPN_MESH, ClientAuth, Spki, server_config};
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::ReplicaId;
use tokio::net::TcpListener;

use self::network::Network;

/// Configurations that a test puts in force, and the directory that follows them.
struct World {
    network: Network,
    in_force: Arc<Mutex<Vec<Arc<ChannelConfig>>>>,
    directory: Directory,
}

impl World {
    fn new() -> Self {
        Self::rewriting(BTreeMap::new())
    }

    fn rewriting(rewritten: BTreeMap<String, String>) -> Self {
        let network = Network::new(&FOUR);
        let in_force: Arc<Mutex<Vec<Arc<ChannelConfig>>>> = Arc::default();
        let followed = Arc::clone(&in_force);
        let follow = move || followed.lock().unwrap().clone();
        let directory = Directory::following(&network.group(), rewritten, follow);
        Self { network, in_force, directory }
    }

    fn put_in_force(&self, configs: &[&Arc<ChannelConfig>]) {
        *self.in_force.lock().unwrap() = configs.iter().map(|config| Arc::clone(config)).collect();
    }

    /// The configuration of the network with another port, and another TLS certificate if there is one, for consenter 2.
    fn moved(&self, port: u16, tls_pem: Option<&[u8]>) -> Arc<ChannelConfig> {
        let certificate = tls_pem.map(|pem| pem.to_vec().into());
        let edit = ConsenterEdit {
            port: Some(port),
            client_tls_cert_pem: certificate.clone(),
            server_tls_cert_pem: certificate,
            ..ConsenterEdit::default()
        };
        edited(&self.network.config, &edit)
    }

    fn original(&self) -> Arc<ChannelConfig> {
        Arc::new(self.network.config.clone())
    }

    fn addresses(&self) -> Vec<String> {
        self.directory.contacts(SECOND).into_iter().map(|contact| contact.address).collect()
    }
}

fn edited(config: &ChannelConfig, edit: &ConsenterEdit) -> Arc<ChannelConfig> {
    let mut tree = config.bundle().tree().clone();
    replace_consenter(&mut tree, &ConsenterSelector::Id(2), edit).unwrap();
    let bundle = Bundle::from_tree(config.channel_id().as_str(), tree).unwrap();
    Arc::new(ChannelConfig::from_bundle(bundle).unwrap())
}

const FOUR: [u16; 4] = [7050, 7051, 7052, 7053];
/// Consenter 2.
const SECOND: ReplicaId = ReplicaId(1);

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A certificate of somebody else, with its key.
fn other_identity() -> (Vec<u8>, TlsIdentity) {
    let mut other = Network::new(&FOUR);
    (other.tls_pem.remove(0).0, other.tls.remove(0))
}

#[test]
fn another_address_and_other_keys_hold_from_the_moment_they_are_in_force_and_the_old_ones_no_longer() {
    let world = World::new();
    let (old_key, (pem, new)) = (world.network.tls[1].spki().unwrap(), other_identity());
    let new_key: Spki = new.spki().unwrap();
    let original = Contact { address: at(FOUR[1]), server_key: old_key.clone(), client_key: old_key.clone() };
    assert_eq!(world.directory.contacts(SECOND), std::slice::from_ref(&original), "as the group said at first");
    world.put_in_force(&[&world.original()]);
    assert_eq!(world.directory.contacts(SECOND), [original]);
    assert!(world.directory.is_client_key(SECOND, &old_key) && !world.directory.is_client_key(SECOND, &new_key));

    world.put_in_force(&[&world.moved(9000, Some(&pem))]);
    let moved = Contact { address: at(9000), server_key: new_key.clone(), client_key: new_key.clone() };
    assert_eq!(world.directory.contacts(SECOND), [moved]);
    assert!(world.directory.is_client_key(SECOND, &new_key) && !world.directory.is_client_key(SECOND, &old_key));
    assert!(!world.directory.is_client_key(ReplicaId(0), &new_key), "it is nobody else's");
    assert_eq!(world.directory.addresses(ReplicaId(0)), at(FOUR[0]), "the others stay");
}

#[test]
fn what_any_channel_says_holds_in_the_order_of_the_channels_and_equal_contacts_are_one() {
    let world = World::new();
    let (first, second) = (world.moved(9000, None), world.original());
    world.put_in_force(&[&first, &second, &world.moved(9000, None)]);
    assert_eq!(world.addresses(), [at(9000), at(FOUR[1])]);
    assert_eq!(world.directory.addresses(SECOND), format!("{} or {}", at(9000), at(FOUR[1])));
    assert!(world.directory.contacts(ReplicaId(4)).is_empty(), "no member");
}

#[test]
fn without_channels_the_last_answer_holds_and_channels_of_other_groups_say_nothing() {
    let world = World::new();
    world.put_in_force(&[&world.moved(9000, None)]);
    assert_eq!(world.addresses(), [at(9000)]);
    world.put_in_force(&[]);
    assert_eq!(world.addresses(), [at(9000)]);
    let foreign = Arc::new(Network::new(&[1, 2, 3, 4]).config);
    world.put_in_force(&[&foreign]);
    assert_eq!(world.addresses(), [at(9000)]);
    world.put_in_force(&[&foreign, &world.moved(9001, None)]);
    assert_eq!(world.addresses(), [at(9001)]);
}

#[test]
fn rewritten_addresses_are_dialled_in_the_place_of_those_of_the_configuration() {
    let world = World::rewriting(BTreeMap::from([(at(9000), "tunnel:1".to_owned())]));
    world.put_in_force(&[&world.moved(9000, None)]);
    assert_eq!(world.addresses(), ["tunnel:1"]);
    world.put_in_force(&[&world.moved(9001, None)]);
    assert_eq!(world.addresses(), [at(9001)]);
}

#[tokio::test]
async fn contacts_are_dialled_in_turn_until_one_shows_the_key_that_goes_with_it() {
    let world = World::new();
    let (pem, new) = other_identity();
    let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    // The first channel still names the old certificate; at both addresses the new one is shown.
    world.put_in_force(&[&world.moved(ports[0], None), &world.moved(ports[1], Some(&pem))]);
    let config = server_config(&new, &[ALPN_MESH], ClientAuth::Requested).unwrap();
    let accepting = tokio::spawn(async move {
        let mut taken = Vec::new();
        for listener in &listeners {
            taken.push(tls::accept(listener.accept().await.unwrap().0, Arc::clone(&config)).await.is_ok());
        }
        taken
    });
    let ours = &world.network.tls[0];
    let stream = world.directory.dial(SECOND, ours, ALPN_MESH).await.unwrap();
    assert_eq!(stream.get_ref().0.peer_addr().unwrap().port(), ports[1]);
    assert_eq!(accepting.await.unwrap(), [false, true]);

    // Nobody listens any more.
    let failed = world.directory.dial(SECOND, ours, ALPN_MESH).await.unwrap_err().to_string();
    assert!(ports.iter().all(|port| failed.contains(&format!("{}: ", at(*port)))), "{failed}");
    let nobody = world.directory.dial(ReplicaId(9), ours, ALPN_MESH).await.unwrap_err().to_string();
    assert_eq!(nobody, "no channel configuration says how it is reached");
}
