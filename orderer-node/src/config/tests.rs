//! What a configuration file may say, and what is refused with which words.
use super::*;

const MINIMAL: &str =
    "listen_address = \"127.0.0.1:7050\"\ndata_dir = \"data\"\n[msp]\ndir = \"/etc/msp\"\nid = \"OrdererMSP\"\n";

fn parse(text: &str) -> Result<Resolved, ConfigError> {
    Config::parse(text, Path::new("/srv/node/node.toml"))
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_documented_sample_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/node.toml");
    let resolved = Config::load(&path).unwrap();
    assert!(resolved.tls.is_some());
    assert_eq!((resolved.durability, resolved.verification), (Durability::Full, Verification::Full));
    assert!(resolved.embedded_frontend && resolved.stage_times);
    assert_eq!(resolved.limits, Limits::default(), "the sample shows the defaults");
    assert_eq!(resolved.group_settings, GroupSettings::default(), "the sample shows the defaults");
}

#[test]
fn defaults_are_filled_in_and_paths_are_relative_to_the_file() {
    let resolved = parse(MINIMAL).unwrap();
    assert_eq!(resolved.data_dir, Path::new("/srv/node/data"));
    assert_eq!(resolved.msp.dir, Path::new("/etc/msp"), "an absolute path stays");
    assert_eq!((resolved.durability, resolved.log.as_str()), (Durability::Full, "info"));
    assert_eq!((resolved.tls, resolved.mesh_identity, resolved.cluster), (None, None, None));
    assert_eq!(resolved.sockets, Sockets::default());
    assert_eq!(resolved.limits, Limits::default());
}

#[test]
fn frontends_are_relied_on_only_if_the_configuration_says_so() {
    assert_eq!(parse(MINIMAL).unwrap().verification, Verification::Full);
    let text = format!("verification = \"frontends\"\n{MINIMAL}");
    assert_eq!(parse(&text).unwrap().verification, Verification::Frontends);
}

#[test]
fn limits_of_the_protocol_are_set_one_by_one() {
    let text = "[ordering]\nrequest_timeout_ms = 12000\ncheckpoint_interval = 7\nbatch_requests_max = 9\n";
    let limits = parse(&format!("{MINIMAL}{text}")).unwrap().limits;
    assert_eq!((limits.request_timeout.as_secs(), limits.request_timeout_max.as_secs()), (12, 12));
    assert_eq!((limits.checkpoint_interval, limits.batch_requests_max), (7, 9));
    assert_eq!(limits.status_interval, Limits::default().status_interval);
}

#[test]
fn a_node_may_be_dialled_elsewhere_than_the_channel_says() {
    let text = format!("{MINIMAL}[[node]]\nname = \"o2:7050\"\naddress = \"10.0.0.2:1\"\n");
    assert_eq!(parse(&text).unwrap().addresses["o2:7050"], "10.0.0.2:1");
    assert!(refusal(&format!("{MINIMAL}[[node]]\nname = \"o2:7050\"\n")).contains("address"));
}

#[test]
fn what_the_members_of_a_group_share_is_set_one_by_one() {
    assert_eq!(parse(MINIMAL).unwrap().group_settings, GroupSettings::default());
    let text = "[ordering]\ndelta = 1\nheavy = [2, 1]\nleaders = [3]\nwindow = 4\ntentative = true\n";
    let settings = parse(&format!("{MINIMAL}{text}")).unwrap().group_settings;
    assert_eq!(settings.to_string(), "window 4; delta 1, heavy 1, 2; led first by 3; tentative");
    let crash = parse(&format!("{MINIMAL}[ordering]\nfault_model = \"crash\"\n")).unwrap().group_settings;
    assert!(crash.to_string().ends_with("crash faults only"));
}

#[test]
fn the_mesh_shows_the_certificate_of_the_cluster_section_if_there_is_one() {
    let tls = format!("{MINIMAL}[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n");
    assert_eq!(parse(&tls).unwrap().mesh_identity.unwrap().certificate, Path::new("/srv/node/a.crt"));
    let both =
        format!("{tls}[cluster]\nlisten_address = \"127.0.0.1:7060\"\ncertificate = \"b.crt\"\nkey = \"b.key\"\n");
    let resolved = parse(&both).unwrap();
    assert_eq!(resolved.mesh_identity.unwrap().key, Path::new("/srv/node/b.key"));
    assert_eq!(resolved.tls.unwrap().server.key, Path::new("/srv/node/a.key"));
    assert_eq!(resolved.cluster.unwrap().listen_address.port(), 7060);
}

#[test]
fn the_listeners_for_administration_and_operations_are_read() {
    assert_eq!((parse(MINIMAL).unwrap().admin, parse(MINIMAL).unwrap().operations), (None, None));
    let text = format!(
        "metrics = \"prometheus\"\n{MINIMAL}[admin]\nlisten_address = \"n.example.com:9443\"\ncertificate = \"a.crt\"\n\
         key = \"a.key\"\nclient_root_cas = [\"ca.crt\"]\n[operations]\nlisten_address = \"127.0.0.1:8443\"\n"
    );
    let resolved = parse(&text).unwrap();
    let admin = resolved.admin.unwrap();
    assert_eq!(admin.address.to_string(), "n.example.com:9443");
    let tls = admin.tls.unwrap();
    assert!(tls.client_auth_required, "whoever administers shows a certificate");
    assert_eq!(tls.client_root_cas, [Path::new("/srv/node/ca.crt")]);
    let operations = resolved.operations.unwrap();
    assert_eq!((operations.address.port(), operations.tls), (8443, None));
    assert_eq!(resolved.metrics, MetricsProvider::Prometheus);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let error = refusal(&MINIMAL.replace("data_dir", "datadir"));
    assert_eq!(error, "/srv/node/node.toml:2: unknown key `datadir`; did you mean `data_dir`?");
    let error = refusal(&format!("{MINIMAL}[tls]\ncertificat = \"a\"\nkey = \"b\"\n"));
    assert_eq!(error, "/srv/node/node.toml:7: unknown key `certificat`; did you mean `certificate`?");
    let error = refusal(&format!("{MINIMAL}[sockets]\nstatsu = \"a\"\n"));
    assert_eq!(error, "/srv/node/node.toml:7: unknown key `statsu`; did you mean `status`?");
    let error = refusal(&format!("zzz = 1\n{MINIMAL}"));
    assert_eq!(error, "/srv/node/node.toml:1: unknown key `zzz`");
}

#[test]
fn wrong_values_and_contradictions_are_refused_with_their_key() {
    let cases = [
        (MINIMAL.replace("127.0.0.1:7050", "localhost"), "listen_address: \"localhost\" is not a host with a port"),
        (MINIMAL.replace("OrdererMSP", ""), "msp.id: is empty"),
        (
            format!("{MINIMAL}[cluster]\nlisten_address = \"127.0.0.1:7060\"\n"),
            "cluster: needs `certificate` and `key`",
        ),
        (format!("{MINIMAL}[cluster]\nkey = \"k\"\n"), "cluster.certificate: is missing"),
        (format!("{MINIMAL}[cluster]\ncertificate = \"k\"\n"), "cluster.key: is missing"),
        (format!("{MINIMAL}[cluster]\nlisten_address = \"127.0.0.1:7050\"\n"), "the same address as listen_address"),
        (format!("{MINIMAL}[sockets]\nstatus = \"s\"\nbroadcast = \"s\"\n"), "sockets.status: is the same socket"),
        (format!("embedded_frontend = false\n{MINIMAL}[sockets]\nbroadcast = \"s\"\n"), "switched off"),
        (
            format!("{MINIMAL}[ordering]\nrequest_timeout_ms = 0\n"),
            "ordering.request_timeout_ms: must be at least a millisecond",
        ),
        (format!("{MINIMAL}[ordering]\nrequest_timeout_max_ms = 399\n"), "is less than the request timeout"),
        (format!("{MINIMAL}[ordering]\ncheckpoint_interval = 0\n"), "ordering.checkpoint_interval: must be at least 1"),
        (format!("{MINIMAL}[ordering]\nbatch_requests_max = 4097\n"), "must be from 1 to 4096"),
        (format!("{MINIMAL}[ordering]\nwindow = 33\n"), "ordering.window: must be from 1 to 32"),
        (format!("{MINIMAL}[ordering]\ndelta = 1\n"), "ordering.heavy: is empty, and delta is 1"),
        (format!("{MINIMAL}[ordering]\nleaders = [1, 1]\n"), "ordering.leaders: names consenter 1 twice"),
        (
            format!("{MINIMAL}[ordering]\nfault_model = \"crash\"\ntentative = true\n"),
            "ordering.tentative: is for members that may lie",
        ),
        (format!("{MINIMAL}[ordering]\nfault_model = \"none\"\n"), "unknown variant `none`"),
        (
            format!("{MINIMAL}[admin]\nlisten_address = \"127.0.0.1:1\"\nkey = \"k\"\n"),
            "admin: `certificate` and `key` go together",
        ),
        (format!("durability = \"some\"\n{MINIMAL}"), "node.toml:1: unknown variant `some`"),
        (format!("channels = \"a.block\"\n{MINIMAL}"), "node.toml:1: invalid type"),
        (MINIMAL.replace("data_dir = \"data\"\n", ""), "missing field `data_dir`"),
        (MINIMAL.replace("= \"data\"", ""), "node.toml:2:"),
    ];
    for (text, expected) in cases {
        let error = refusal(&text);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/node.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read configuration /nowhere/node.toml: "), "{error}");
}
