//! `channel inspect`: what a file holds.

mod block;
mod config;
mod envelope;
mod update;

pub(crate) use update::element;

use crate::arguments::InspectArgs;
use crate::artifact::Artifact;
use crate::json;

/// Shows a file, for people or as JSON.
pub(crate) fn run(arguments: &InspectArgs, report: &mut String) -> anyhow::Result<()> {
    let artifact = Artifact::read(&arguments.file, arguments.kind)?;
    if arguments.json {
        let json = match &artifact {
            Artifact::Block(block) => json::block(block),
            Artifact::Envelope(envelope) => json::envelope(envelope),
            Artifact::Config(tree) => json::config(tree),
            Artifact::UpdateEnvelope(update) => json::update_content(update),
            Artifact::Update(update) => json::config_update(update),
        };
        report.push_str(&escaped(&serde_json::to_string_pretty(&json)?));
        report.push('\n');
        return Ok(());
    }
    match &artifact {
        Artifact::Block(block) => block::describe(block, report),
        Artifact::Envelope(envelope) => envelope::describe(envelope, report),
        Artifact::Config(tree) => config::describe(tree, report),
        Artifact::UpdateEnvelope(update) | Artifact::Update(update) => update::describe(update, report),
    }
    Ok(())
}

/// JSON allows some control characters within texts; terminals obey them.
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut out, letter| {
        if letter.is_control() && letter != '\n' {
            out.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            out.push(letter);
        }
        out
    })
}
