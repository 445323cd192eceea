//! What a command brought about, as lines to read: who heard what, and what it did then.

use mod_smart::ReplicaId;

/// What happened at one replica: an event, and what it said to itself because of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Scene {
    /// At whom.
    pub replica: ReplicaId,
    /// One event after the other.
    pub steps: Vec<Step>,
}

/// One event, and the actions that followed.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened: a verb in its base form, and the rest of the sentence.
    pub cause: Cause,
    /// What the replica did, in order.
    pub effects: Vec<String>,
}

/// A verb in its base form, and the rest of the sentence.
pub type Cause = (&'static str, String);

/// Everything a command brought about.
#[derive(Debug, Default)]
pub struct Trace {
    scenes: Vec<Scene>,
}

impl Trace {
    /// Adds what happened at a replica. An event that changed nothing to be seen is not worth a line.
    pub fn push(&mut self, mut scene: Scene) {
        scene.steps.retain(|step| !step.effects.is_empty());
        if !scene.steps.is_empty() {
            self.scenes.push(scene);
        }
    }

    /// Adds a sentence about a replica.
    pub fn note(&mut self, replica: ReplicaId, cause: Cause) {
        self.scenes.push(Scene { replica, steps: vec![Step { cause, effects: Vec::new() }] });
    }

    /// The lines. Replicas to which the same happened one after the other, and which did the same, share them.
    pub fn into_lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut scenes = self.scenes.into_iter().peekable();
        while let Some(scene) = scenes.next() {
            let mut who = vec![scene.replica];
            while let Some(twin) = scenes.next_if(|s| s.steps == scene.steps && !who.contains(&s.replica)) {
                who.push(twin.replica);
            }
            let ending = if who.len() == 1 { "s" } else { "" };
            for Step { cause: (verb, rest), effects } in scene.steps {
                lines.push(format!("{} {verb}{ending} {rest}", names(&who)).trim_end().to_owned());
                lines.extend(effects.into_iter().map(|effect| format!("    {effect}")));
            }
        }
        lines
    }

    /// Only what the group has got from it, and no reasons: who delivered what, who is accused of what, who entered which
    /// regency.
    pub fn into_brief_lines(self) -> Vec<String> {
        let mut outcomes: Vec<(String, Vec<ReplicaId>)> = Vec::new();
        for Scene { replica, steps } in self.scenes {
            for outcome in steps.iter().flat_map(|step| &step.effects).flat_map(|effect| outcomes_of(effect)) {
                match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
                    Some((_, who)) if who.contains(&replica) => {}
                    Some((_, who)) => who.push(replica),
                    None => outcomes.push((outcome, vec![replica])),
                }
            }
        }
        let line = |(outcome, mut who): (String, Vec<ReplicaId>)| {
            who.sort_unstable();
            format!("{}: {outcome}", names(&who))
        };
        outcomes.into_iter().map(line).collect()
    }
}

/// What stands behind a mark again is no news.
fn outcomes_of(effect: &str) -> Vec<String> {
    let begins = |text: &str, words: &[&str]| words.iter().any(|word| text.starts_with(word));
    if let Some(records) = effect.strip_prefix("journal ") {
        let news = records.split(", ").take_while(|record| !record.starts_with("MARK"));
        let news = news.filter(|record| begins(record, &["ENTER", "SYNC", "READMITTED"]));
        return news.map(|record| format!("journal {record}")).collect();
    }
    let is_outcome = begins(effect, &["deliver", "report", "install", "crash", "keep", "forget"]);
    if is_outcome { vec![effect.to_owned()] } else { Vec::new() }
}

fn names(replicas: &[ReplicaId]) -> String {
    replicas.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
