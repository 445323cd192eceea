//! GET: listing channels, looking at one, fetching blocks; and what is refused before any channel is asked.

use orderer_node::participation::{ChannelInfo, ChannelStatus, ConsensusRelation, FetchError, ParticipationSettings};

use super::http::{ask, get};
use super::registrar::{block, info, serve, serve_with};

const CHANNELS: &str = "/participation/v1/channels";

#[tokio::test]
async fn no_channels_are_null_and_not_an_empty_list() {
    let served = serve(&[]).await;
    let answer = get(CHANNELS).send(served.address).await;
    assert_eq!((answer.status, answer.text()), (200, "{\"systemChannel\":null,\"channels\":null}\n"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn channels_are_listed_with_their_paths() {
    let served = serve(&["a", "b.c-1"]).await;
    let answer = get(CHANNELS).header("Accept", "text/html, application/json;q=0.5").send(served.address).await;
    let expected = "{\"systemChannel\":null,\"channels\":[{\"name\":\"a\",\"url\":\"/participation/v1/channels/a\"},\
                    {\"name\":\"b.c-1\",\"url\":\"/participation/v1/channels/b.c-1\"}]}\n";
    assert_eq!((answer.status, answer.text()), (200, expected));
}

#[tokio::test]
async fn a_channel_is_shown_with_relation_status_and_height() {
    let served = serve(&[]).await;
    let shown = [
        (ConsensusRelation::Consenter, ChannelStatus::Active, "consenter", "active"),
        (ConsensusRelation::Follower, ChannelStatus::Onboarding, "follower", "onboarding"),
        (ConsensusRelation::ConfigTracker, ChannelStatus::Inactive, "config-tracker", "inactive"),
        (ConsensusRelation::Other, ChannelStatus::Failed, "other", "failed"),
    ];
    for (relation, status, relation_text, status_text) in shown {
        let known = ChannelInfo { relation, status, ..info("mychannel", 1 << 60) };
        served.registrar.channels.lock().unwrap().insert(known.id.clone(), known);
        let answer = get("/participation/v1/channels/mychannel").send(served.address).await;
        let expected = format!(
            "{{\"name\":\"mychannel\",\"url\":\"/participation/v1/channels/mychannel\",\"consensusRelation\":\
             \"{relation_text}\",\"status\":\"{status_text}\",\"height\":1152921504606846976}}\n"
        );
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn names_that_are_none_and_channels_that_are_not_there_are_told_apart() {
    let served = serve(&["a"]).await;
    let answer = get("/participation/v1/channels/b").send(served.address).await;
    assert_eq!((answer.status, answer.error().as_str()), (404, "channel does not exist"));
    let cases = [
        ("Oops", "invalid channel ID: 'Oops' contains illegal characters"),
        ("a%20b", "invalid channel ID: 'a b' contains illegal characters"),
        ("%ff", "invalid channel ID: it is no UTF-8"),
        (&"a".repeat(250), "invalid channel ID: channel ID illegal, cannot be longer than 249"),
    ];
    for (name, text) in cases {
        for (method, rest) in [("GET", ""), ("DELETE", ""), ("GET", "/blocks/newest")] {
            let answer = ask(method, &format!("{CHANNELS}/{name}{rest}")).send(served.address).await;
            assert_eq!((answer.status, answer.error().as_str()), (400, text), "{method} {name}{rest}");
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_told_so() {
    let served = serve(&["a"]).await;
    for path in [CHANNELS.to_owned(), format!("{CHANNELS}/a"), format!("{CHANNELS}/a/blocks/newest")] {
        let answer = get(&path).header("Accept", "text/html").send(served.address).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (406, "response Content-Type is application/json only"),
            "{path}"
        );
        for accepted in ["*/*", "application/*", "text/html, application/json"] {
            let answer = get(&path).header("Accept", accepted).send(served.address).await;
            assert_eq!(answer.status, 200, "{path} {accepted}");
        }
    }
    let answer = ask("DELETE", &format!("{CHANNELS}/a")).header("Accept", "text/plain").send(served.address).await;
    assert_eq!(answer.status, 406);
    assert!(served.registrar.channels.lock().unwrap().len() == 1, "it was removed all the same");
}

#[tokio::test]
async fn blocks_come_as_they_are_by_word_and_by_number() {
    let served = serve(&["a"]).await;
    for (choice, number) in [("newest", 6), ("oldest", 0), ("config", 0), ("5", 5), ("+5", 5), ("005", 5)] {
        let answer = get(&format!("{CHANNELS}/a/blocks/{choice}")).send(served.address).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &block(number)[..]), "{choice}");
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn blocks_that_are_not_there_or_cannot_be_named_are_told_apart() {
    let served = serve(&["a"]).await;
    let cases = [
        ("a/blocks/7", 404, "no such block number [7] in index"),
        ("a/blocks/-1", 404, "no such block number [-1] in index"),
        ("a/blocks/x", 400, "invalid block ID: 'x' not equal <newest|oldest|config|(number)>"),
        (
            "a/blocks/18446744073709551615",
            400,
            "invalid block ID: '18446744073709551615' not equal <newest|oldest|config|(number)>",
        ),
        ("b/blocks/newest", 404, "channel does not exist"),
    ];
    for (path, status, text) in cases {
        let answer = get(&format!("{CHANNELS}/{path}")).send(served.address).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, text), "{path}");
    }
    let cases = [
        (FetchError::Follower, 404, "channel is not ready, he is a follower"),
        (FetchError::PendingRemoval, 404, "channel pending removal"),
        (FetchError::RemovalFailed, 404, "channel removal failure"),
        (FetchError::Unreadable("bad checksum".to_owned()), 500, "bad checksum"),
    ];
    for (error, status, text) in cases {
        *served.registrar.fetch_error.lock().unwrap() = Some(error);
        let answer = get(&format!("{CHANNELS}/a/blocks/0")).send(served.address).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, text));
    }
}

#[tokio::test]
async fn other_methods_are_named_with_what_is_allowed() {
    let served = serve(&["a"]).await;
    let cases = [
        (CHANNELS.to_owned(), ["DELETE", "PATCH", "OPTIONS"], "GET, POST, PUT"),
        (format!("{CHANNELS}/a"), ["POST", "PUT", "PATCH"], "GET, DELETE"),
        (format!("{CHANNELS}/a/blocks/1"), ["POST", "PUT", "DELETE"], "GET"),
    ];
    for (path, methods, allowed) in cases {
        for method in methods {
            let answer = ask(method, &path).send(served.address).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.error(), format!("invalid request method: {method}"));
            assert_eq!(answer.header("allow"), Some(allowed));
        }
    }
}

#[tokio::test]
async fn other_paths_lead_nowhere_and_the_base_leads_to_the_channels() {
    let served = serve(&["a"]).await;
    let base = get("/participation/v1/").send(served.address).await;
    assert_eq!((base.status, base.header("location")), (302, Some(CHANNELS)));
    for path in ["/participation/v1/channels/", "/participation/v1/channels/a/", "/participation/v2/channels", "/"] {
        let answer = get(path).send(served.address).await;
        assert_eq!((answer.status, answer.text()), (404, "404 page not found\n"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn an_api_that_is_switched_off_says_so_on_every_path() {
    let off = ParticipationSettings { is_enabled: false, ..ParticipationSettings::default() };
    let served = serve_with(&["a"], off).await;
    for (method, path) in
        [("GET", "channels"), ("POST", "channels"), ("DELETE", "channels/a"), ("GET", ""), ("GET", "x")]
    {
        let answer = ask(method, &format!("/participation/v1/{path}")).send(served.address).await;
        assert_eq!((answer.status, answer.error().as_str()), (503, "channel participation API is disabled"));
    }
    assert_eq!(get("/elsewhere").send(served.address).await.status, 404);
}
