//! With TLS the API wants a certificate of an authority that the configuration names.

use orderer_node::http_server::HttpTls;
use orderer_node::participation::{self, ParticipationSettings};
use tokio_util::sync::CancellationToken;

use super::http::authority::Authority;
use super::http::get;
use super::registrar::FakeRegistrar;

/// From files, as a configuration names them.
fn tls(authority: &Authority, client_auth_required: bool) -> HttpTls {
    let folder = tempfile::tempdir().unwrap();
    let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| folder.path().join(name));
    authority.save(&ca);
    authority.issue("server").save(&certificate, &key);
    HttpTls::load(&certificate, &key, client_auth_required, &[ca]).unwrap()
}

#[tokio::test]
async fn a_client_is_served_with_a_certificate_of_a_trusted_authority_and_not_otherwise() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("another"));
    let (registrar, stop) = (FakeRegistrar::with(&["a"]), CancellationToken::new());
    let settings = ParticipationSettings::default();
    let tls = tls(&authority, true);
    let served = participation::serve("127.0.0.1:0", Some(&tls), settings, registrar, stop).await.unwrap();
    let ask = |identity| {
        let (authority, address) = (&authority, served.address());
        async move { get("/participation/v1/channels").send_tls(address, authority, identity).await }
    };
    let client = authority.issue("admin").identity();
    assert_eq!(ask(Some(&client)).await.unwrap().status, 200);
    assert!(ask(None).await.is_err(), "served without a certificate");
    let other = stranger.issue("admin").identity();
    assert!(ask(Some(&other)).await.is_err(), "served with a certificate of an unknown authority");
}

#[tokio::test]
async fn tls_without_client_certificates_is_a_mistake_that_is_said_at_the_start() {
    let authority = Authority::new("ours");
    let (registrar, stop) = (FakeRegistrar::with(&[]), CancellationToken::new());
    let tls = tls(&authority, false);
    let refused = participation::serve("127.0.0.1:0", Some(&tls), ParticipationSettings::default(), registrar, stop);
    let text = refused.await.unwrap_err().to_string();
    assert_eq!(text, "Admin.TLS.ClientAuthRequired must be true when Admin.TLS.Enabled is");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nothing.pem");
    let text = HttpTls::load(&missing, &missing, true, &[]).unwrap_err().to_string();
    assert!(text.contains("nothing.pem"), "{text}");
}
