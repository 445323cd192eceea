//! The server below the API: names and busy ports, slow clients, many clients, an end in good order.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get as route_get;
use orderer_node::http_server::{HttpHandle, HttpLimits, HttpServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::http::{PATIENCE, get};
use super::registrar::serve;

/// More than a connection holds that nobody reads.
const MUCH: usize = 64 << 20;

const SHORT: Duration = Duration::from_millis(150);

async fn start(limits: HttpLimits, stop: &CancellationToken) -> HttpHandle {
    let never = || async { std::future::pending::<&'static str>().await };
    let much = async || vec![b'x'; MUCH];
    let router = Router::new()
        .route("/", route_get(async || "here"))
        .route("/never", route_get(never))
        .route("/much", route_get(much));
    HttpServer::bind("localhost:0", None).await.unwrap().start(router, limits, stop.clone())
}

async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection stands for ever");
    rest
}

#[tokio::test]
async fn it_listens_on_a_name_and_on_every_address_and_names_a_port_that_is_taken() {
    let stop = CancellationToken::new();
    let named = start(HttpLimits::default(), &stop).await;
    assert_eq!(get("/").send(named.address()).await.text(), "here");
    let everywhere = HttpServer::bind(":0", None).await.unwrap();
    assert!(everywhere.address().ip().is_unspecified());
    let taken = named.address().to_string();
    let text = HttpServer::bind(&taken, None).await.unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot listen on {taken}: ")), "{text}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_let_go() {
    let stop = CancellationToken::new();
    let limits = HttpLimits { read_time_max: SHORT, ..HttpLimits::default() };
    let server = start(limits, &stop).await;
    for begun in ["", "GET / HTT"] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(!String::from_utf8(closed(&mut stream).await).unwrap().contains("200"));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_to_its_end_is_given_up() {
    let stop = CancellationToken::new();
    let limits = HttpLimits { write_time_max: SHORT, ..HttpLimits::default() };
    let server = start(limits, &stop).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(closed(&mut stream).await.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_let_go() {
    let stop = CancellationToken::new();
    let limits = HttpLimits { write_time_max: Duration::from_secs(1), connections_max: 1, ..HttpLimits::default() };
    let server = start(limits, &stop).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The only place is free again.
    assert_eq!(get("/").send(server.address()).await.status, 200);
    assert!(closed(&mut stream).await.len() < MUCH, "the answer was read to its end");
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_waits_for_one() {
    let stop = CancellationToken::new();
    let limits = HttpLimits { connections_max: 2, read_time_max: SHORT, ..HttpLimits::default() };
    let server = start(limits, &stop).await;
    let silent =
        [TcpStream::connect(server.address()).await.unwrap(), TcpStream::connect(server.address()).await.unwrap()];
    // The silent ones are let go after a while, and then it is this one's turn.
    assert_eq!(get("/").send(server.address()).await.status, 200);
    drop(silent);
}

#[tokio::test]
async fn several_requests_share_a_connection() {
    let served = serve(&[]).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /participation/v1/channels HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"}\n") {
            let mut buffer = [0; 512];
            let count = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert!(count > 0, "the connection ended");
            received.extend_from_slice(&buffer[..count]);
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_idle_connections_at_once_and_busy_ones_in_time() {
    let stop = CancellationToken::new();
    let limits = HttpLimits { stop_time_max: SHORT, ..HttpLimits::default() };
    let server = start(limits, &stop).await;
    let address = server.address();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(get("/").send(address).await.status, 200);
    let begun = Instant::now();
    stop.cancel();
    timeout(PATIENCE, server.stopped()).await.expect("it does not stop");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(closed(&mut busy).await.is_empty());
    assert!(TcpStream::connect(address).await.is_err(), "it still accepts");
}
