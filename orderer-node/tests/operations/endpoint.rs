//! Paths, methods, statuses, and who may ask.

use std::time::Duration;

use orderer_node::http_server::HttpTls;

use super::http::authority::Authority;
use super::http::{ask, get};
use super::node::serve;

#[tokio::test]
async fn a_node_that_is_well_says_so_with_the_time() {
    let served = serve(None, true).await;
    let answer = get("/healthz").send(served.address).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"OK","time":"2027-01-15T08:00:00Z"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(ask("POST", "/healthz").send(served.address).await.status, 405);
}

#[tokio::test]
async fn a_channel_that_is_collected_no_more_makes_the_node_unhealthy() {
    let served = serve(None, true).await;
    served.change(|snapshot| {
        let stopped = frontend_shim::counters::ChannelCounters {
            channel: "mychannel".to_owned(),
            stopped: Some("a fork".to_owned()),
            ..frontend_shim::counters::ChannelCounters::default()
        };
        snapshot.node.frontends[0].channels.push(stopped);
    });
    let answer = get("/healthz").send(served.address).await;
    let expected = serde_json::json!({
        "status": "Service Unavailable", "time": "2027-01-15T08:00:00Z",
        "failed_checks": [{ "component": "channel mychannel", "reason": "no more blocks are collected: a fork" }],
    });
    assert_eq!((answer.status, answer.json()), (503, expected));
}

#[tokio::test]
async fn the_version_is_told_to_a_get_only() {
    let served = serve(None, true).await;
    let answer = get("/version").send(served.address).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"CommitSHA":"abc123","Version":"1.2.3"}"#));
    let answer = ask("POST", "/version").send(served.address).await;
    assert_eq!((answer.status, answer.text()), (400, r#"{"Error":"invalid request method: POST"}"#));
}

#[tokio::test]
async fn the_log_specification_is_read_and_changed() {
    let served = serve(None, true).await;
    let put = |body: &str| ask("PUT", "/logspec").body(body);
    assert_eq!(get("/logspec").send(served.address).await.text(), r#"{"spec":"info"}"#);
    let answer = put(r#"{"spec":"info:orderer.consensus=debug"}"#).send(served.address).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(*served.log_spec.0.lock().unwrap(), "info:orderer.consensus=debug");
    assert_eq!(get("/logspec").send(served.address).await.json()["spec"], "info:orderer.consensus=debug");
    let refused = [
        (put(r#"{"spec":"nonsense"}"#), "invalid logging specification 'nonsense': bad segment 'nonsense'"),
        (ask("POST", "/logspec"), "invalid request method: POST"),
        (put(&"x".repeat(1 << 20)), "http: request body too large"),
    ];
    for (request, text) in refused {
        let answer = request.send(served.address).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, text));
    }
    assert_eq!(put("no json").send(served.address).await.status, 400);
    assert_eq!(*served.log_spec.0.lock().unwrap(), "info:orderer.consensus=debug", "a refused one changed something");
}

#[tokio::test]
async fn metrics_are_served_if_they_are_switched_on() {
    let served = serve(None, true).await;
    let answer = get("/metrics").send(served.address).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.text().contains("fabric_version{version=\"1.2.3\"} 1\n"));
    let without = serve(None, false).await;
    assert_eq!(get("/metrics").send(without.address).await.status, 404);
}

#[tokio::test]
async fn the_page_is_one_file_that_loads_nothing_from_elsewhere() {
    let served = serve(None, true).await;
    for path in ["/", "/status"] {
        let answer = get(path).send(served.address).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        for loads in ["src=\"", "@import", "url(", "http://", "https://", "innerHTML"] {
            assert!(!answer.text().contains(loads), "the page holds {loads}");
        }
    }
}

/// The script reads these; a figure that is renamed would leave a hole in the page.
#[tokio::test]
async fn the_json_behind_the_page_has_what_the_page_shows() {
    let served = serve(None, true).await;
    let told = get("/status.json").send(served.address).await.json();
    for pointer in [
        "/time",
        "/uptime_s",
        "/version",
        "/failed_checks",
        "/components/0/component",
        "/components/0/ready",
        "/participation/0/name",
        "/participation/0/consensusRelation",
        "/participation/0/status",
        "/certificates/0/seconds_left",
        "/disk/free_bytes",
        "/disk/total_bytes",
        "/channels/0/certified_height",
        "/channels/0/config_sequence",
        "/counters/broadcast/SUCCESS",
        "/counters/connections_opened",
        "/counters/deliver_streams_closed",
        "/counters/blocks_sent",
        "/sections/ordering/0/regency_change/reason",
        "/sections/ordering/0/progress_age_ms",
        "/sections/ordering/0/pending_age_ms",
        "/sections/ordering/0/has_quorum",
        "/sections/ordering/0/highest_claimed",
        "/sections/ordering/0/members/0/is_us",
        "/sections/ordering/0/members/0/is_linked",
        "/sections/ordering/0/members/0/votes",
        "/sections/ordering/0/members/0/vote_delay_us",
        "/sections/ordering/0/misbehaviour/0/what",
        "/sections/mesh/0/0/queued_bytes",
        "/sections/frontends/0/nodes/0/wrong_headers",
        "/sections/frontends/0/nodes/0/lagging",
    ] {
        assert!(told.pointer(pointer).is_some(), "{pointer} is missing in {told}");
    }
}

#[tokio::test]
async fn with_tls_probes_need_no_certificate_and_all_else_does() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("another"));
    let tls = |client_auth_required| HttpTls {
        identity: authority.issue("server").identity(),
        client_auth_required,
        client_root_cas: vec![authority.certificate()],
        time_shift: Duration::ZERO,
    };
    let (client, other) = (authority.issue("admin").identity(), stranger.issue("admin").identity());
    let served = serve(Some(&tls(false)), true).await;
    for path in ["/healthz", "/readyz", "/version"] {
        let answer = get(path).send_tls(served.address, &authority, None).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    for path in ["/metrics", "/logspec", "/", "/status", "/status.json"] {
        let without = get(path).send_tls(served.address, &authority, None).await.unwrap();
        assert_eq!((without.status, without.body.len()), (401, 0), "{path}");
        let with = get(path).send_tls(served.address, &authority, Some(&client)).await.unwrap();
        assert_eq!(with.status, 200, "{path}");
    }
    let wrong = get("/healthz").send_tls(served.address, &authority, Some(&other)).await;
    assert!(wrong.is_err(), "a certificate of an unknown authority was overlooked");

    let strict = serve(Some(&tls(true)), true).await;
    assert!(get("/healthz").send_tls(strict.address, &authority, None).await.is_err());
    assert_eq!(get("/healthz").send_tls(strict.address, &authority, Some(&client)).await.unwrap().status, 200);
}

#[test]
fn the_status_command_is_told_what_the_page_is() {
    let shown = orderer_node::status::text(&super::node::well().into_status_report());
    for expected in [
        "CERTIFICATE server_tls of consenter 3 in mychannel HAS ENDED",
        "CERTIFICATE tls ends in 20 days",
        "disk: 50.0 of 100.0 GiB free",
        "channel mychannel: open, 41 blocks, 1 more not certified yet, config sequence 2",
        "  regency 5, led by node 2 at o2.example.com:7050",
        "  FAULT: node 4 at o4.example.com:7050: voted \"twice\" (2 times)",
        "  node 3 at o3.example.com:7050: late",
        "  node 4 at o4.example.com:7050: no session, 5 mismatching blocks",
    ] {
        assert!(shown.lines().any(|line| line == expected), "{expected:?} is missing in\n{shown}");
    }
}
