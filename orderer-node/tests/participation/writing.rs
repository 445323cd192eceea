//! POST, PUT and DELETE: joining, updating, removing, and every form that is none.

use fabric_proto::common::HeaderType;
use orderer_node::participation::{JoinError, RemoveError, UpdateError};

use super::http::{Answer, Ask, ask, get};
use super::registrar::{GENESIS, Served, serve, update_envelope};

const CHANNELS: &str = "/participation/v1/channels";
const BLOCK: &str = "config-block";
const UPDATE: &str = "config-update-envelope";

fn join(block: &[u8]) -> Ask {
    ask("POST", CHANNELS).form(&[(BLOCK, Some("config.block"), block)])
}

fn update(envelope: &[u8]) -> Ask {
    ask("PUT", CHANNELS).form(&[(UPDATE, Some("update.pb"), envelope)])
}

async fn refused(served: &Served, request: Ask) -> (u16, String) {
    let answer: Answer = request.send(served.address).await;
    (answer.status, answer.error())
}

/// The name in [`GENESIS`].
async fn joined_name(served: &Served) -> String {
    let listed = get(CHANNELS).send(served.address).await.json();
    listed["channels"][0]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_genesis_block_of_fabric_joins_its_channel_once() {
    let served = serve(&[]).await;
    let answer = join(GENESIS).send(served.address).await;
    let name = joined_name(&served).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let url = format!("{CHANNELS}/{name}");
    assert_eq!(answer.header("location"), Some(url.as_str()));
    let expected = serde_json::json!({
        "name": name, "url": url, "consensusRelation": "consenter", "status": "active", "height": 1,
    });
    assert_eq!(answer.json(), expected);
    {
        let joined = served.registrar.joined.lock().unwrap();
        assert_eq!((joined.len(), joined[0].number, &joined[0].bytes[..]), (1, 0, GENESIS));
    }
    let again = join(GENESIS).send(served.address).await;
    assert_eq!((again.status, again.error().as_str()), (405, "cannot join: channel already exists"));
    assert_eq!(again.header("allow"), Some("GET, DELETE"));
}

#[tokio::test]
async fn reasons_of_the_registrar_not_to_join_have_their_statuses() {
    let served = serve(&[]).await;
    let cases = [
        (JoinError::PendingRemoval, 409, "cannot join: channel pending removal"),
        (JoinError::RemovalFailed, 500, "cannot join: channel removal failure"),
        (JoinError::Refused("not today".to_owned()), 400, "cannot join: not today"),
    ];
    for (error, status, text) in cases {
        *served.registrar.join_error.lock().unwrap() = Some(error);
        assert_eq!(refused(&served, join(GENESIS)).await, (status, text.to_owned()));
    }
}

#[tokio::test]
async fn blocks_that_no_channel_can_be_made_of_are_refused_with_the_reason() {
    let served = serve(&[]).await;
    let (status, text) = refused(&served, join(b"\x0agarbage")).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("cannot unmarshal file part config-block into a block"), "{text}");
    let expected = (400, "invalid join block: block is not a config block".to_owned());
    assert_eq!(refused(&served, join(b"")).await, expected);
    assert!(served.registrar.joined.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_a_form_with_one_file_of_the_right_name_is_taken() {
    let served = serve(&["a"]).await;
    for (method, key) in [("POST", BLOCK), ("PUT", UPDATE)] {
        let post = || ask(method, CHANNELS);
        let bad = |text: &str| (400, text.to_owned());
        let missing = bad(&format!("form does not contains part key: {key}"));
        let too_many = bad("form contains too many parts");
        let no_form = "cannot read form from request body: ";

        assert_eq!(refused(&served, post()).await, bad("unsupported Content-Type: []"));
        let json = post().header("Content-Type", "application/json").body("{}");
        assert_eq!(refused(&served, json).await, bad("unsupported Content-Type: [application/json]"));
        let boundless = post().header("Content-Type", "multipart/form-data").body("x");
        assert_eq!(refused(&served, boundless).await, bad(&format!("{no_form}multipart: boundary is empty")));
        let broken = post().header("Content-Type", "multipart/form-data; boundary=b").body("no parts in here");
        assert!(refused(&served, broken).await.1.starts_with(no_form));
        let refusing = post().header("Accept", "text/html").form(&[(key, Some("f"), b"x")]);
        assert_eq!(refused(&served, refusing).await.0, 406);

        assert_eq!(refused(&served, post().form(&[])).await, missing);
        assert_eq!(refused(&served, post().form(&[("other", Some("f"), b"x")])).await, missing);
        assert_eq!(refused(&served, post().form(&[(key, None, b"x")])).await, missing, "a value is no file");
        let other_file = post().form(&[(key, Some("f"), b"x"), ("other", Some("f"), b"x")]);
        assert_eq!(refused(&served, other_file).await, too_many);
        let value = post().form(&[(key, Some("f"), b"x"), ("other", None, b"x")]);
        assert_eq!(refused(&served, value).await, too_many);
        let twice = post().form(&[(key, Some("f"), b"x"), (key, Some("g"), b"x")]);
        assert_eq!(refused(&served, twice).await, too_many);
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_the_client_hears_of_it() {
    let served = serve(&[]).await;
    let large = vec![7; 3 << 20];
    let expected = (400, "cannot read form from request body: http: request body too large".to_owned());
    assert_eq!(refused(&served, join(&large)).await, expected);
    assert_eq!(refused(&served, update(&large)).await, expected);
}

#[tokio::test]
async fn an_update_goes_to_its_channel_as_it_came() {
    let served = serve(&["a"]).await;
    let envelope = update_envelope("a", HeaderType::ConfigUpdate);
    let answer = update(&envelope).send(served.address).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("/participation/v1/channels/a"));
    assert_eq!(answer.json()["height"], 7);
    let updates = served.registrar.updates.lock().unwrap();
    assert_eq!((updates[0].0.as_str(), &updates[0].1[..]), ("a", &envelope[..]));
}

#[tokio::test]
async fn envelopes_that_are_no_updates_are_refused_with_the_reason() {
    let served = serve(&["a"]).await;
    let (status, text) = refused(&served, update(b"\x0agarbage")).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("cannot unmarshal file part config-update-envelope into an envelope"), "{text}");
    let cases = [
        (Vec::new(), "bad header"),
        (update_envelope("a", HeaderType::Message), "bad type"),
        (update_envelope("", HeaderType::ConfigUpdate), "empty channel id"),
        (b"\x0a\x01\x0a".to_vec(), "bad payload"),
    ];
    for (envelope, text) in cases {
        let expected = (400, format!("invalid config update envelope: {text}"));
        assert_eq!(refused(&served, update(&envelope)).await, expected);
    }
}

#[tokio::test]
async fn reasons_of_the_registrar_not_to_update_have_their_statuses() {
    let served = serve(&["a"]).await;
    for name in ["b", "Not a name"] {
        let envelope = update_envelope(name, HeaderType::ConfigUpdate);
        let expected = (405, "cannot update: channel does not exist".to_owned());
        assert_eq!(refused(&served, update(&envelope)).await, expected);
    }
    let envelope = update_envelope("a", HeaderType::ConfigUpdate);
    let cases = [
        (UpdateError::Follower, 403, "cannot update: channel is not ready, he is a follower"),
        (UpdateError::PendingRemoval, 409, "cannot update: channel pending removal"),
        (UpdateError::RemovalFailed, 500, "cannot update: channel removal failure"),
        (UpdateError::Refused("no quorum".to_owned()), 400, "cannot update: no quorum"),
    ];
    for (error, status, text) in cases {
        *served.registrar.update_error.lock().unwrap() = Some(error);
        assert_eq!(refused(&served, update(&envelope)).await, (status, text.to_owned()));
    }
}

#[tokio::test]
async fn a_channel_is_removed_once() {
    let served = serve(&["a"]).await;
    let remove = || ask("DELETE", "/participation/v1/channels/a");
    let answer = remove().send(served.address).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(refused(&served, remove()).await, (404, "cannot remove: channel does not exist".to_owned()));
    let cases = [
        (RemoveError::PendingRemoval, 409, "cannot remove: channel pending removal"),
        (RemoveError::Failed("disk".to_owned()), 400, "cannot remove: disk"),
    ];
    for (error, status, text) in cases {
        *served.registrar.remove_error.lock().unwrap() = Some(error);
        assert_eq!(refused(&served, remove()).await, (status, text.to_owned()));
    }
}
