//! An administrator: over plain HTTP, or with Fabric's `osnadmin` over mutual TLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::orderers::Orderers;

/// What the participation API answers.
pub struct Answer {
    pub status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }
}

pub async fn get(port: u16, path: &str) -> Answer {
    ask(port, &format!("GET {path} HTTP/1.1\r\n"), &[]).await
}

pub async fn delete(port: u16, channel: &str) -> Answer {
    ask(port, &format!("DELETE /participation/v1/channels/{channel} HTTP/1.1\r\n"), &[]).await
}

pub async fn join(port: u16, block: &[u8]) -> Answer {
    let head = "POST /participation/v1/channels HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=here\r\n";
    let part = "--here\r\nContent-Disposition: form-data; name=\"config-block\"; filename=\"block\"\r\n\r\n";
    let body = [part.as_bytes(), block, b"\r\n--here--\r\n"].concat();
    ask(port, head, &body).await
}

async fn ask(port: u16, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!("{head}Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let status = std::str::from_utf8(&received[9..12]).unwrap().parse().unwrap();
    Answer { status, body: received[end + 4..].to_vec() }
}

/// Fabric's tool.
pub struct Osnadmin<'a> {
    program: PathBuf,
    orderers: &'a Orderers,
}

impl<'a> Osnadmin<'a> {
    pub fn new(programs: &Path, orderers: &'a Orderers) -> Self {
        Self { program: programs.join("osnadmin"), orderers }
    }

    /// What `osnadmin channel ...` prints about a node.
    pub fn run(&self, id: u16, arguments: &[&str]) -> String {
        let tls = self.orderers.keys.orderer(id.into()).join("tls");
        let mut command = Command::new(&self.program);
        command.arg("channel").args(arguments);
        command
            .args(["-o", &format!("127.0.0.1:{}", self.orderers.admin(id))])
            .arg("--ca-file")
            .arg(tls.join("ca.crt"));
        command.arg("--client-cert").arg(tls.join("server.crt")).arg("--client-key").arg(tls.join("server.key"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}
