//! What a command brought about, as lines to read: who heard what, and what it did then.

use mod_smart::ReplicaId;

/// One event at one replica, and the actions that followed.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// At whom.
    pub replica: ReplicaId,
    /// What happened: a verb in its base form, and the rest of the sentence.
    pub cause: (&'static str, String),
    /// What the replica did, in order.
    pub effects: Vec<String>,
}

/// Everything a command brought about.
#[derive(Debug, Default)]
pub struct Trace {
    blocks: Vec<Block>,
}

impl Trace {
    /// Adds an event. One that changed nothing to be seen is not worth a line.
    pub fn push(&mut self, block: Block) {
        if !block.effects.is_empty() {
            self.blocks.push(block);
        }
    }

    /// A line that belongs to no replica.
    pub fn note(&mut self, replica: ReplicaId, verb: &'static str, rest: String) {
        self.blocks.push(Block { replica, cause: (verb, rest), effects: Vec::new() });
    }

    /// The lines. Replicas to which the same happened one after the other, and which did the same, share them.
    pub fn into_lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut blocks = self.blocks.into_iter().peekable();
        while let Some(block) = blocks.next() {
            let mut who = vec![block.replica];
            let is_twin = |b: &Block, who: &[ReplicaId]| {
                b.cause == block.cause && b.effects == block.effects && !who.contains(&b.replica)
            };
            while let Some(twin) = blocks.next_if(|b| is_twin(b, &who)) {
                who.push(twin.replica);
            }
            let (verb, rest) = block.cause;
            let ending = if who.len() == 1 { "s" } else { "" };
            lines.push(format!("{} {verb}{ending} {rest}", names(&who)).trim_end().to_owned());
            lines.extend(block.effects.into_iter().map(|effect| format!("    {effect}")));
        }
        lines
    }

    /// Only what the group has got from it, and no reasons: who delivered what, who is accused of what, who entered which
    /// regency.
    pub fn into_brief_lines(self) -> Vec<String> {
        let mut outcomes: Vec<(String, Vec<ReplicaId>)> = Vec::new();
        for block in self.blocks {
            for outcome in block.effects.iter().flat_map(|effect| outcomes_of(effect)) {
                match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
                    Some((_, who)) if who.contains(&block.replica) => {}
                    Some((_, who)) => who.push(block.replica),
                    None => outcomes.push((outcome, vec![block.replica])),
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

fn outcomes_of(effect: &str) -> Vec<String> {
    if let Some(records) = effect.strip_prefix("journal ") {
        let is_outcome = |record: &&str| ["ENTER", "SYNC", "STABLE", "READMITTED"].iter().any(|kind| record.starts_with(kind));
        return records.split(", ").filter(is_outcome).map(|record| format!("journal {record}")).collect();
    }
    let is_outcome = ["deliver", "report", "install", "crash"].iter().any(|verb| effect.starts_with(verb));
    if is_outcome { vec![effect.to_owned()] } else { Vec::new() }
}

fn names(replicas: &[ReplicaId]) -> String {
    replicas.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
