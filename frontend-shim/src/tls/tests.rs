//! Handshakes over memory.
#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

struct Made {
    identity: TlsIdentity,
    authority: CertificateDer<'static>,
}

/// A leaf for localhost under an authority of its own.
fn made() -> Made {
    made_until(4000)
}

/// One that ends when this year begins; it begins with the last day of 2019.
fn made_until(year: i32) -> Made {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    leaf.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    (leaf.not_before, leaf.not_after) = (rcgen::date_time_ymd(2019, 12, 31), rcgen::date_time_ymd(year, 1, 1));
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let identity = TlsIdentity::from_pem(leaf.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    Made { identity, authority: authority_certificate.der().clone() }
}

type Server = tokio_rustls::server::TlsStream<DuplexStream>;

/// Shakes hands over memory. The client reads a byte, because in TLS 1.3 it learns only then of a refusal.
async fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> (Result<Server, TlsError>, io::Result<()>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let mut stream = accept(far, server).await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        Ok(stream)
    });
    let name = ServerName::try_from("localhost").unwrap();
    let dialled = async {
        let mut stream = tokio_rustls::TlsConnector::from(client).connect(name, near).await?;
        stream.read_exact(&mut [0]).await?;
        Ok(())
    };
    let dialled = dialled.await;
    (serving.await.unwrap(), dialled)
}

const ALL: [&[u8]; 3] = [ALPN_GRPC, ALPN_MESH, ALPN_FRONTEND];

#[tokio::test]
async fn a_pinned_server_is_taken_and_the_peers_key_is_known() {
    let (server, client) = (made(), made());
    let listening = server_config(&server.identity, &ALL, ClientAuth::Requested).unwrap();
    let trust = ServerTrust::Pinned(server.identity.spki().unwrap());
    for (alpn, protocol) in
        [(ALPN_GRPC, Protocol::Grpc), (ALPN_MESH, Protocol::Mesh), (ALPN_FRONTEND, Protocol::Frontend)]
    {
        let dialling = client_config(Some(&client.identity), alpn, trust.clone()).unwrap();
        let (accepted, dialled) = handshake(listening.clone(), dialling).await;
        dialled.unwrap();
        let accepted = accepted.unwrap();
        assert_eq!(protocol_of(accepted.get_ref().1), protocol);
        assert_eq!(peer_spki(accepted.get_ref().1).unwrap(), Some(client.identity.spki().unwrap()));
    }
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_refused_by_name() {
    let (server, other) = (made(), made());
    let listening = server_config(&server.identity, &ALL, ClientAuth::Requested).unwrap();
    let trust = ServerTrust::Pinned(other.identity.spki().unwrap());
    let (_, dialled) = handshake(listening, client_config(None, ALPN_MESH, trust).unwrap()).await;
    let error = told_apart(dialled.unwrap_err()).to_string();
    assert!(error.contains(&server.identity.spki().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn a_grpc_client_without_a_certificate_is_served() {
    let server = made();
    let listening = server_config(&server.identity, &ALL, ClientAuth::Requested).unwrap();
    let trust = ServerTrust::Authorities(vec![server.authority.clone()]);
    let (accepted, dialled) = handshake(listening, client_config(None, ALPN_GRPC, trust).unwrap()).await;
    dialled.unwrap();
    let accepted = accepted.unwrap();
    assert_eq!(protocol_of(accepted.get_ref().1), Protocol::Grpc);
    assert_eq!(peer_spki(accepted.get_ref().1).unwrap(), None, "what a private protocol refuses");
}

#[tokio::test]
async fn a_foreign_authority_and_an_unknown_protocol_are_refused() {
    let server = made();
    let listening = server_config(&server.identity, &[ALPN_GRPC], ClientAuth::Requested).unwrap();
    let foreign = ServerTrust::Authorities(vec![made().authority]);
    let (_, dialled) = handshake(listening.clone(), client_config(None, ALPN_GRPC, foreign).unwrap()).await;
    assert!(matches!(told_apart(dialled.unwrap_err()), TlsError::Protocol(_)));
    let trust = ServerTrust::Pinned(server.identity.spki().unwrap());
    let (accepted, _) = handshake(listening, client_config(None, ALPN_MESH, trust).unwrap()).await;
    assert!(accepted.is_err());
}

#[tokio::test]
async fn required_certificates_come_from_an_authority_or_a_pin() {
    let (server, chained, pinned, stranger) = (made(), made(), made(), made());
    let trusted = TrustedClients::new(&[chained.authority], vec![pinned.identity.spki().unwrap()]).unwrap();
    let listening = server_config(&server.identity, &ALL, ClientAuth::Required(Arc::new(trusted))).unwrap();
    let trust = ServerTrust::Pinned(server.identity.spki().unwrap());
    let is_served = async |identity: Option<&TlsIdentity>| {
        let dialling = client_config(identity, ALPN_GRPC, trust.clone()).unwrap();
        handshake(listening.clone(), dialling).await.0.is_ok()
    };
    assert!(is_served(Some(&chained.identity)).await);
    assert!(is_served(Some(&pinned.identity)).await);
    assert!(!is_served(Some(&stranger.identity)).await);
    assert!(!is_served(None).await);
}

/// Which is why `General.Cluster.TLSHandshakeTimeShift` has nothing to shift here.
#[tokio::test]
async fn a_node_is_known_by_its_key_after_its_certificate_has_ended() {
    let ended = made_until(2020);
    let listening = server_config(&ended.identity, &ALL, ClientAuth::Requested).unwrap();
    let trust = ServerTrust::Pinned(ended.identity.spki().unwrap());
    let dialling = client_config(Some(&ended.identity), ALPN_MESH, trust).unwrap();
    let (accepted, dialled) = handshake(listening, dialling).await;
    dialled.unwrap();
    assert_eq!(peer_spki(accepted.unwrap().get_ref().1).unwrap(), Some(ended.identity.spki().unwrap()));
}

#[tokio::test]
async fn a_client_whose_certificate_has_ended_is_served_if_the_time_is_shifted_far_enough_back() {
    const DAY: u64 = 24 * 60 * 60;
    let (server, ended, good) = (made(), made_until(2020), made());
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    // 2020 began 18,262 days after 1970.
    let ended_before = since - Duration::from_secs(18_262 * DAY);
    let trust = ServerTrust::Pinned(server.identity.spki().unwrap());
    let is_served = async |shift: Duration, client: &Made| {
        let trusted =
            TrustedClients::new(std::slice::from_ref(&client.authority), Vec::new()).unwrap().looking_back(shift);
        let listening = server_config(&server.identity, &ALL, ClientAuth::Required(Arc::new(trusted))).unwrap();
        let dialling = client_config(Some(&client.identity), ALPN_GRPC, trust.clone()).unwrap();
        handshake(listening, dialling).await.0.is_ok()
    };
    let enough = ended_before + Duration::from_secs(DAY / 2);
    assert!(!is_served(Duration::ZERO, &ended).await);
    assert!(!is_served(Duration::from_secs(DAY), &ended).await);
    assert!(is_served(enough, &ended).await);
    assert!(is_served(enough, &good).await, "what is good now stays so");
}

#[test]
fn addresses_have_a_host_and_a_port() {
    for good in ["localhost:1", "127.0.0.1:7050", "[::1]:7050", "orderer.example.com:443"] {
        server_name(good).unwrap();
    }
    for bad in ["", "localhost", "localhost:", "localhost:70000", ":7050", "a b:1"] {
        assert!(matches!(server_name(bad), Err(TlsError::Address(_))), "{bad}");
    }
}
