//! Compiles `proto/` without a `protoc` binary.
//!
//! Every bytes field becomes `bytes::Bytes`, so that decoding shares the received buffer, and
//! every map becomes a `BTreeMap`, so that encoding is equal on every replica.

use std::error::Error;

const SOURCES: [&str; 9] = [
    "common.proto",
    "configtx.proto",
    "configuration.proto",
    "policies.proto",
    "msp.proto",
    "orderer.proto",
    "etcdraft.proto",
    "smartbft.proto",
    "protos.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(SOURCES, ["proto"])?;
    prost_build::Config::new().bytes(["."]).btree_map(["."]).compile_fds(descriptors)?;
    Ok(())
}
