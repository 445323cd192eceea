//! Asking over HTTP/1.1, byte by byte, so that nothing between the test and the server can smooth things over.

#![allow(dead_code, reason = "each program uses some of it")]

pub mod authority;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frontend_shim::tls::{self, ServerTrust, TlsError};
use frontend_shim::tls_identity::TlsIdentity;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::authority::Authority;

/// Whoever waits longer than this waits for ever.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The text of a refusal in JSON.
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// A request under construction.
pub struct Ask {
    head: String,
    body: Vec<u8>,
}

/// `method` and `path`.
pub fn ask(method: &str, path: &str) -> Ask {
    Ask { head: format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"), body: Vec::new() }
}

/// A GET.
pub fn get(path: &str) -> Ask {
    ask("GET", path)
}

/// A part of a form: its name, its file name if it is a file, its content.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn form(self, parts: &[Part<'_>]) -> Self {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
            let head = format!("--cut-here\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--cut-here--\r\n");
        self.header("Content-Type", "multipart/form-data; boundary=cut-here").body(body)
    }

    fn bytes(&self) -> Vec<u8> {
        let length = match self.body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let mut bytes = format!("{}{length}\r\n", self.head).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it in the clear and waits for the answer.
    pub async fn send(&self, address: SocketAddr) -> Answer {
        let stream = TcpStream::connect(address).await.unwrap();
        self.send_on(stream).await
    }

    /// Sends it over TLS, presenting `identity` if there is one.
    ///
    /// # Errors
    /// The handshake fails. With TLS 1.3 a client finds out only when it reads.
    pub async fn send_tls(
        &self,
        address: SocketAddr,
        authority: &Authority,
        identity: Option<&TlsIdentity>,
    ) -> Result<Answer, TlsError> {
        let trust = ServerTrust::Authorities(vec![authority.certificate()]);
        let config = tls::client_config(identity, b"http/1.1", trust).unwrap();
        let mut stream = tls::dial(&format!("localhost:{}", address.port()), Arc::clone(&config)).await?;
        stream.write_all(&self.bytes()).await?;
        let mut received = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut received)).await.unwrap()?;
        Ok(parse(&received))
    }

    async fn send_on(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Answer {
        stream.write_all(&self.bytes()).await.unwrap();
        let mut received = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("no answer in time").unwrap();
        parse(&received)
    }
}

fn parse(received: &[u8]) -> Answer {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&received[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Answer { status, headers: lines.map(header).collect(), body: received[end + 4..].to_vec() }
}
