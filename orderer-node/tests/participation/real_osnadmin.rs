//! Fabric's own `osnadmin` against the API. Needs `FABRIC_BIN`, the folder of Fabric v3's programs; without it the test says
//! that it was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fabric_proto::common::HeaderType;
use orderer_node::http_server::HttpTls;
use orderer_node::participation::{self, ParticipationSettings};
use tokio_util::sync::CancellationToken;

use super::http::authority::Authority;
use super::registrar::{FakeRegistrar, GENESIS, block, update_envelope};

/// `osnadmin` with the keys of an administrator.
struct Osnadmin {
    program: PathBuf,
    folder: PathBuf,
    address: String,
}

impl Osnadmin {
    async fn run(&self, command: &str, arguments: &[&str]) -> String {
        let mut process = Command::new(&self.program);
        process.args(["channel", command, "-o", &self.address]).args(arguments).current_dir(&self.folder);
        process.args(["--ca-file", "ca.pem", "--client-cert", "admin.pem", "--client-key", "admin.key"]);
        let output = tokio::task::spawn_blocking(move || process.output().unwrap()).await.unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Runs it and expects this status.
    async fn expect(&self, status: u16, command: &str, arguments: &[&str]) -> String {
        let printed = self.run(command, arguments).await;
        assert!(printed.starts_with(&format!("Status: {status}\n")), "{command} {arguments:?}: {printed}");
        printed
    }
}

#[tokio::test]
async fn osnadmin_lists_joins_updates_fetches_and_removes() {
    let Some(programs) = std::env::var_os("FABRIC_BIN").map(PathBuf::from) else {
        eprintln!("skipped: osnadmin: FABRIC_BIN does not name the folder of Fabric's programs");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |name: &str| folder.path().join(name);
    let authority = Authority::new("ours");
    authority.save(&in_folder("ca.pem"));
    authority.issue("admin").save(&in_folder("admin.pem"), &in_folder("admin.key"));
    std::fs::write(in_folder("genesis.block"), GENESIS).unwrap();

    let tls = HttpTls {
        identity: authority.issue("server").identity(),
        client_auth_required: true,
        client_root_cas: vec![authority.certificate()],
        time_shift: Duration::ZERO,
    };
    let (registrar, stop) = (FakeRegistrar::with(&[]), CancellationToken::new());
    let settings = ParticipationSettings::default();
    let served = participation::serve("127.0.0.1:0", Some(&tls), settings, registrar.clone(), stop).await.unwrap();
    let osnadmin = Osnadmin {
        program: programs.join("osnadmin"),
        folder: folder.path().to_owned(),
        address: format!("localhost:{}", served.address().port()),
    };
    let name = channel_in(GENESIS);

    let printed = osnadmin.expect(200, "list", &[]).await;
    assert!(printed.contains("\"channels\": null"), "{printed}");
    let joining = ["--channelID", &name, "--config-block", "genesis.block"];
    let printed = osnadmin.expect(201, "join", &joining).await;
    assert!(printed.contains("\"consensusRelation\": \"consenter\""), "{printed}");
    let printed = osnadmin.expect(405, "join", &joining).await;
    assert!(printed.contains("cannot join: channel already exists"), "{printed}");
    let printed = osnadmin.expect(200, "list", &["--channelID", &name]).await;
    assert!(printed.contains(&format!("\"url\": \"/participation/v1/channels/{name}\"")), "{printed}");

    std::fs::write(in_folder("update.pb"), update_envelope(&name, HeaderType::ConfigUpdate)).unwrap();
    osnadmin.expect(201, "update", &["--channelID", &name, "--config-update-envelope", "update.pb"]).await;
    assert_eq!(registrar.updates.lock().unwrap().len(), 1);
    osnadmin.expect(200, "fetch", &["--channelID", &name, "--blockID", "newest", "--outputfile", "out.block"]).await;
    assert_eq!(read(&in_folder("out.block")), block(0));
    let missing = ["--channelID", &name, "--blockID", "5", "--outputfile", "none.block"];
    let printed = osnadmin.expect(404, "fetch", &missing).await;
    assert!(printed.contains("no such block number [5] in index"), "{printed}");

    assert_eq!(osnadmin.expect(204, "remove", &["--channelID", &name]).await.trim(), "Status: 204");
    osnadmin.expect(404, "remove", &["--channelID", &name]).await;
}

fn channel_in(block: &[u8]) -> String {
    let block = <fabric_proto::common::Block as prost::Message>::decode(block).unwrap();
    fabric_channel::ChannelConfig::from_block(&block).unwrap().channel_id().to_string()
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
