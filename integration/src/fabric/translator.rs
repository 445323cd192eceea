//! Fabric's `configtxlator`, as administrators use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::run;

/// The program, and a folder to work in.
#[derive(Debug)]
pub struct Translator {
    program: PathBuf,
    folder: PathBuf,
}

impl Translator {
    /// The one among these programs; it works below this folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(programs: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("translator");
        fs::create_dir_all(&folder)?;
        Ok(Self { program: programs.join("configtxlator"), folder })
    }

    /// A CONFIG_UPDATE envelope, signed by nobody, that changes the configuration in this block as asked. Gives its file.
    ///
    /// # Errors
    /// What the program says.
    pub fn update(&self, channel: &str, block: &[u8], change: impl FnOnce(&mut Value)) -> anyhow::Result<PathBuf> {
        let config = self.decode("common.Block", block)?["data"]["data"][0]["payload"]["data"]["config"].take();
        let mut changed = config.clone();
        change(&mut changed);
        let (original, updated) = (self.encode("common.Config", &config)?, self.encode("common.Config", &changed)?);
        let computed = self.file("update.pb");
        let mut command = Command::new(&self.program);
        command.args(["compute_update", "--channel_id", channel, "--original"]).arg(original);
        run(command.arg("--updated").arg(updated).arg("--output").arg(&computed))?;
        let update = self.decode("common.ConfigUpdate", &fs::read(computed)?)?;
        let header = json!({"channel_header": {"channel_id": channel, "type": 2}});
        let envelope = json!({"payload": {"header": header, "data": {"config_update": update}}});
        self.encode("common.Envelope", &envelope)
    }

    fn decode(&self, kind: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        let (input, output) = (self.file("in.pb"), self.file("out.json"));
        fs::write(&input, bytes)?;
        self.translate(["proto_decode", kind], &input, &output)?;
        serde_json::from_slice(&fs::read(output)?).context("configtxlator gives JSON")
    }

    fn encode(&self, kind: &str, value: &Value) -> anyhow::Result<PathBuf> {
        let number = fs::read_dir(&self.folder)?.count();
        let (input, output) = (self.file("in.json"), self.file(&format!("{number}.pb")));
        fs::write(&input, serde_json::to_vec(value)?)?;
        self.translate(["proto_encode", kind], &input, &output)?;
        Ok(output)
    }

    fn translate(&self, [what, kind]: [&str; 2], input: &Path, output: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        run(command.args([what, "--type", kind, "--input"]).arg(input).arg("--output").arg(output))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
